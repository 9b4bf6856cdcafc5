import type { NodeReport } from '../../nodedoc/types.ts';
import type { ClusterNode, Toleration } from '../../resources/types.ts';
import type { NodeLink, Store } from '../ports.ts';

/**
 * Present: reported within its tolerance. Lost: silent for longer. Unheard: silent since this control plane
 * started or the node was declared, which was not longer ago than the tolerance; nothing is concluded from that.
 */
export type Presence = 'Present' | 'Unheard' | 'Lost';

/** One ClusterNode with what its daemon said last. */
export interface NodeView {
  name: string;
  node: ClusterNode;
  presence: Presence;
  /** The last report, even of a node that is lost since. */
  report?: NodeReport;
  /** Since the last report, or since this control plane started. */
  silentMs: number;
  /** Of the document that the node should have. */
  documentVersion?: string;
}

export type Fleet = ReadonlyMap<string, NodeView>;

export interface FleetSources {
  store: Pick<Store, 'nodes'>;
  nodeLink: Pick<NodeLink, 'latest'>;
  sinceStartMs: number;
  now: Date;
  publishedVersion: (nodeName: string) => string | undefined;
}

/** The fleet as it is seen now, by name. */
export const readFleet = (sources: FleetSources): Fleet =>
  new Map(sources.store.nodes().map((node) => [node.metadata.name, viewNode(node, sources)]));

export const viewNode = (
  node: ClusterNode,
  { nodeLink, sinceStartMs, now, publishedVersion }: FleetSources,
): NodeView => {
  const { name } = node.metadata;
  const received = nodeLink.latest(name);
  const documentVersion = publishedVersion(name);
  const silentMs = received?.ageMs ?? Math.min(sinceStartMs, ageOf(node, now));
  const isLost = silentMs > toleranceMs(node);
  return {
    name,
    node,
    presence: isLost ? 'Lost' : received ? 'Present' : 'Unheard',
    silentMs,
    ...(received ? { report: received.report } : {}),
    ...(documentVersion === undefined ? {} : { documentVersion }),
  };
};

/** Bounded below, for a wall clock that was set back. */
const ageOf = (node: ClusterNode, now: Date): number =>
  Math.max(0, now.getTime() - Date.parse(node.metadata.creationTimestamp));

export const toleranceMs = (node: ClusterNode): number => node.spec.nodeLostToleranceSeconds * 1000;

/** The NoExecute taint that drives a deployment's ranks away, if there is one. */
export const evictingTaint = (
  node: ClusterNode,
  tolerations: readonly Toleration[],
): string | undefined =>
  node.spec.taints.find(
    ({ key, effect }) =>
      effect === 'NoExecute' &&
      !tolerations.some(
        (toleration) =>
          toleration.key === key &&
          (toleration.effect === undefined || toleration.effect === effect),
      ),
  )?.key;
