import type { NodeReport } from '../../nodedoc/types.ts';
import { findCondition } from '../../resources/conditions.ts';
import type { ClusterNode, Toleration } from '../../resources/types.ts';
import type { NodeLink, Store } from '../ports.ts';
import type { PublishedDocument } from '../publisher.ts';

/**
 * Present: reported within its tolerance. Lost: silent for longer, or since a control plane before this one found it
 * so. Unheard: silent since this control plane started or the node was declared, which was not longer ago than the
 * tolerance; nothing is concluded from that.
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
  /**
   * Its last report answers the document that it should have, and came after that was published. The version alone
   * would not do: a document can become again what it was two changes ago, while the one between is being obeyed.
   */
  hasAnswered: boolean;
}

/** By name; all in the store's order. */
export interface Fleet {
  get(nodeName: string): NodeView | undefined;
  values(): Iterable<NodeView>;
}

export interface FleetSources {
  store: Pick<Store, 'node' | 'nodes'>;
  nodeLink: Pick<NodeLink, 'latest'>;
  sinceStartMs: number;
  now: Date;
  published: (nodeName: string) => PublishedDocument | undefined;
}

/** The fleet as it is when it is looked at: each node once, and those that nobody asks for not at all. */
export const readFleet = (sources: FleetSources): Fleet => {
  const views = new Map<string, NodeView>();
  const viewOf = (node: ClusterNode): NodeView => {
    const { name } = node.metadata;
    const view = views.get(name) ?? viewNode(node, sources);
    views.set(name, view);
    return view;
  };
  return {
    get: (nodeName) => {
      const node = sources.store.node(nodeName);
      return views.get(nodeName) ?? (node && viewOf(node));
    },
    values: () => sources.store.nodes().map(viewOf),
  };
};

export const viewNode = (
  node: ClusterNode,
  { nodeLink, sinceStartMs, now, published }: FleetSources,
): NodeView => {
  const { name } = node.metadata;
  const received = nodeLink.latest(name);
  const document = published(name);
  const silentMs = received?.ageMs ?? Math.min(sinceStartMs, ageOf(node, now));
  const isLost = silentMs > toleranceMs(node) || (!received && wasLost(node));
  return {
    name,
    node,
    presence: isLost ? 'Lost' : received ? 'Present' : 'Unheard',
    silentMs,
    ...(received ? { report: received.report } : {}),
    hasAnswered:
      received !== undefined &&
      document !== undefined &&
      received.report.observedVersion === document.version &&
      received.ageMs < document.ageMs,
  };
};

const wasLost = ({ status }: ClusterNode): boolean =>
  findCondition(status.conditions, 'Ready')?.reason === 'NodeLost';

/** Of a node that did report, to a control plane before this one. */
export const isExpected = ({ presence, node }: NodeView): boolean =>
  presence === 'Unheard' && node.status.hostInfo !== undefined;

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
