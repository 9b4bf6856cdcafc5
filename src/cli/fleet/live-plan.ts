import { parseQuantityBytes } from '../../base/quantity.ts';
import { loadCatalogue } from '../../catalogue/load-catalogue.ts';
import { readModelProfile } from '../../catalogue/model-folder.ts';
import { claimsOf, holdsMemory, ownHoldersOf } from '../../controller/fleet/plan-nodes.ts';
import type { Holders, Usage } from '../../controller/fleet/plan-nodes.ts';
import { currentPlace } from '../../controller/groups/current-place.ts';
import type { ReceivedReport } from '../../controller/ports.ts';
import type { PlacedGroup } from '../../planner/fleet/preemption.ts';
import { createInventory } from '../../planner/inventory.ts';
import { plan } from '../../planner/plan.ts';
import { namedGaps } from '../../planner/topology/topology.ts';
import type { ModelProfile, PlanNode, PlanResult, Workload } from '../../planner/types.ts';
import { findCondition } from '../../resources/conditions.ts';
import type { ClusterNode, ModelDeployment } from '../../resources/types.ts';
import type { Backend } from '../backend/backend.ts';
import { holdersOf, holdingsOf, placeAmong } from './live-room.ts';
import type { Holding } from './live-room.ts';

export interface LivePlan {
  model: ModelProfile;
  nodes: PlanNode[];
  gaps: string[];
  result: PlanResult;
  /** Groups of lower priority that would have to leave for it. */
  victims: PlacedGroup[];
}

export interface LivePlanOptions {
  catalogueFiles?: readonly string[];
  workload?: Workload;
  changeNodes?: (nodes: PlanNode[]) => PlanNode[];
}

/**
 * How the first group of a deployment would be planned if it were restarted now: over the nodes as they are, beside
 * everything else that runs, where it runs unless a move pays, or in place of groups of lower priority where it may
 * preempt. Throws EspalierError when the model's config.json cannot be read on this host.
 */
export const planLive = async (
  backend: Backend,
  deployment: ModelDeployment,
  { catalogueFiles = [], workload, changeNodes = (nodes) => nodes }: LivePlanOptions,
): Promise<LivePlan> => {
  const { metadata, spec, status } = deployment;
  const model = await readModelProfile(spec.model.uri);
  const catalogue = loadCatalogue(catalogueFiles);
  const current = currentPlace(status.groups.find(({ index }) => index === 0));
  const own = status.groups.filter(({ index }) => index !== 0);
  const others = (await backend.deployments(undefined))
    .filter((other) => other.metadata.uid !== metadata.uid)
    .flatMap((other) => holdingsOf(other, deployment));
  const reports = await backend.reports().catch(() => undefined);
  const clusterNodes = await backend.nodes();
  const nodesBeside = (holdings: readonly Holding[]): PlanNode[] => {
    const usage = claimsOf([...own, ...holdings.map(({ group }) => group)]);
    const holders = [ownHoldersOf(own), holdersOf(holdings, spec.priority)];
    return changeNodes(clusterNodes.map((node) => liveNode(node, { usage, holders, reports })));
  };
  const planOn = (nodes: readonly PlanNode[]): PlanResult =>
    plan({
      deployment: { namespace: metadata.namespace ?? 'default', name: metadata.name, spec },
      model,
      nodes,
      catalogue,
      siblings: own
        .filter(holdsMemory)
        .flatMap(({ members }) => members.map(({ nodeName }) => nodeName)),
      ...(current ? { current } : {}),
      ...(workload ? { workload } : {}),
    });
  const nodes = nodesBeside(others);
  const gaps = namedGaps(createInventory(nodes, catalogue).topology);
  const found = placeAmong(others, { deployment, nodesBeside, planOn });
  return { model, nodes, gaps, ...found };
};

interface Surroundings {
  usage: Usage;
  holders: readonly Holders[];
  reports: readonly ReceivedReport[] | undefined;
}

const liveNode = (
  { metadata, spec, status }: ClusterNode,
  { usage, holders, reports }: Surroundings,
): PlanNode => {
  const { name } = metadata;
  const host = reports?.find(({ report }) => report.nodeName === name)?.report.host;
  const memory = status.capacity?.memory ?? spec.hardware?.memory ?? '0';
  return {
    name,
    labels: metadata.labels ?? {},
    spec,
    ...availability(status),
    hostID: status.hostInfo?.hostID ?? '',
    hardwareModel: status.hostInfo?.model ?? spec.hardware?.model ?? '',
    chip: status.hostInfo?.chip ?? '',
    osVersion: status.hostInfo?.osVersion ?? '',
    // Decides how many threads a rank is given, and nothing else; an API server does not keep it.
    cpuCount: host?.cpuCount ?? 1,
    memoryBytes: parseQuantityBytes(memory) ?? 0,
    usedMemoryBytes: usage.get(name) ?? 0,
    heldBy: holders.flatMap((each) => each.get(name) ?? []),
    engines: status.engines,
    links: status.hostInfo
      ? status.links.map(({ peerNodeName, type, mode, state }) => ({
          peerNodeName,
          type,
          rdma: mode === 'RDMA' && spec.linkPolicy.allowRDMA,
          up: state === 'Up',
        }))
      : spec.links.map((link) => ({ ...link, rdma: false, up: true })),
  };
};

const availability = ({
  conditions,
}: ClusterNode['status']): Pick<PlanNode, 'available' | 'unavailableReason'> => {
  const ready = findCondition(conditions, 'Ready');
  if (ready?.status === 'True') return { available: true };
  return { available: false, unavailableReason: ready?.message ?? 'it has not reported yet' };
};
