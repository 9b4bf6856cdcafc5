import { contentHash } from '../../base/canonical-json.ts';
import { parseQuantityBytes } from '../../base/quantity.ts';
import { describeHolder } from '../../planner/fleet/describe-holder.ts';
import type { Holder, PlanLink, PlanNode } from '../../planner/types.ts';
import type { GroupStatus, ModelDeployment } from '../../resources/types.ts';
import type { Fleet, NodeView } from './fleet.ts';

/** Bytes per node name. */
export type Usage = ReadonlyMap<string, number>;

/** What groups hold on each node: planned memory, from their start until all their ranks are gone. */
export const usageOf = (groups: readonly GroupStatus[]): Usage =>
  sumOf(groups.filter(holdsMemory).flatMap(({ members }) => members));

/** What groups hold, and what is kept for those that wait for others to leave. */
export const claimsOf = (groups: readonly GroupStatus[]): Usage =>
  sumOf(
    groups.flatMap((group) =>
      holdsMemory(group) ? group.members : (group.preemption?.room ?? []),
    ),
  );

const sumOf = (parts: readonly { nodeName: string; memoryBytes: number }[]): Usage => {
  const usage = new Map<string, number>();
  for (const { nodeName, memoryBytes } of parts) {
    usage.set(nodeName, (usage.get(nodeName) ?? 0) + memoryBytes);
  }
  return usage;
};

/** By node name. */
export type Holders = ReadonlyMap<string, readonly Holder[]>;

/** Who holds what: other deployments by their name, and their priority where they have one. */
export const holdersOf = (deployments: readonly ModelDeployment[]): Holders =>
  byNode(
    deployments.map(({ metadata, spec, status }) => ({
      who: describeHolder(`${metadata.namespace ?? 'default'}/${metadata.name}`, spec.priority),
      groups: status.groups,
    })),
  );

/** Who holds what: groups of the deployment that is planned, one by one. */
export const ownHoldersOf = (groups: readonly GroupStatus[]): Holders =>
  byNode(
    groups.map((group) => ({
      who: `group ${group.index} of this deployment at revision ${group.revision}`,
      groups: [group],
    })),
  );

const byNode = (claims: readonly { who: string; groups: readonly GroupStatus[] }[]): Holders => {
  const holders = claims.flatMap(({ who, groups }) =>
    [...claimsOf(groups)].map(([nodeName, memoryBytes]) => ({ nodeName, who, memoryBytes })),
  );
  return Map.groupBy(holders, ({ nodeName }) => nodeName);
};

/** A Backoff group keeps its place, or it would lose it to a newcomer with every restart. */
export const holdsMemory = ({ state }: GroupStatus): boolean =>
  state !== 'Waiting' && state !== 'Failed';

/** Whether any node has more room after than before. */
export const hasReleased = (before: Usage, after: Usage): boolean =>
  [...before].some(([nodeName, bytes]) => (after.get(nodeName) ?? 0) < bytes);

/** The fleet as the planner sees it. */
export const planNodes = (
  fleet: Fleet,
  usage: Usage,
  holders: readonly Holders[] = [],
): PlanNode[] =>
  [...fleet.values()].map((view) => {
    const heldBy = holders.flatMap((each) => each.get(view.name) ?? []);
    const planned = planNode(view, usage.get(view.name) ?? 0);
    return heldBy.length > 0 ? { ...planned, heldBy } : planned;
  });

/** Changes when a plan could come out differently because of this node; load does not count. */
export const planningHash = (view: NodeView): string => contentHash(planNode(view, 0));

const planNode = (view: NodeView, usedMemoryBytes: number): PlanNode => {
  const { name, node, report } = view;
  const { hardware } = node.spec;
  const reason = unavailableReason(view);
  return {
    name,
    labels: node.metadata.labels ?? {},
    spec: node.spec,
    available: reason === undefined,
    ...(reason === undefined ? {} : { unavailableReason: reason }),
    hostID: report?.host.hostID ?? '',
    hardwareModel: report?.host.model ?? hardware?.model ?? '',
    chip: report?.host.chip ?? '',
    osVersion: report?.host.osVersion ?? '',
    cpuCount: report?.host.cpuCount ?? 1,
    memoryBytes: report?.host.memoryBytes ?? parseQuantityBytes(hardware?.memory ?? '0') ?? 0,
    usedMemoryBytes,
    engines: report?.engines ?? [],
    links: report
      ? reportedLinks(report.links, node.spec.linkPolicy.allowRDMA)
      : node.spec.links.map(declaredLink),
  };
};

/** No ages here: the text must stay the same while nothing changes. */
const unavailableReason = ({ node, presence }: NodeView): string | undefined => {
  if (node.metadata.deletionTimestamp) return 'the node is being deleted';
  if (presence === 'Present') return undefined;
  if (!node.status.hostInfo) return 'the node has not reported yet';
  return presence === 'Lost'
    ? `the node is lost: no report for more than ${node.spec.nodeLostToleranceSeconds} s`
    : 'the node has not reported to this control plane yet';
};

const reportedLinks = (
  links: readonly { peerNodeName: string; type: string; mode: string; state: string }[],
  allowRDMA: boolean,
): PlanLink[] =>
  links.map(({ peerNodeName, type, mode, state }) => ({
    peerNodeName,
    type,
    rdma: mode === 'RDMA' && allowRDMA,
    up: state === 'Up',
  }));

const declaredLink = ({
  peerNodeName,
  type,
}: {
  peerNodeName: string;
  type: string;
}): PlanLink => ({
  peerNodeName,
  type,
  rdma: false,
  up: true,
});
