import { parseQuantityBytes } from '../../base/quantity.ts';
import { loadCatalogue } from '../../catalogue/load-catalogue.ts';
import { readModelProfile } from '../../catalogue/model-folder.ts';
import { holdsMemory, usageOf } from '../../controller/fleet/plan-nodes.ts';
import type { Usage } from '../../controller/fleet/plan-nodes.ts';
import { currentPlace } from '../../controller/groups/current-place.ts';
import type { ReceivedReport } from '../../controller/ports.ts';
import { createInventory } from '../../planner/inventory.ts';
import { plan } from '../../planner/plan.ts';
import { namedGaps } from '../../planner/topology/topology.ts';
import type { ModelProfile, PlanNode, PlanResult, Workload } from '../../planner/types.ts';
import { findCondition } from '../../resources/conditions.ts';
import type { ClusterNode, GroupStatus, ModelDeployment } from '../../resources/types.ts';
import type { Backend } from '../backend/backend.ts';

export interface LivePlan {
  model: ModelProfile;
  nodes: PlanNode[];
  gaps: string[];
  result: PlanResult;
}

export interface LivePlanOptions {
  catalogueFiles?: readonly string[];
  workload?: Workload;
  changeNodes?: (nodes: PlanNode[]) => PlanNode[];
}

/**
 * How the first group of a deployment would be planned if it were restarted now: over the nodes as they are, beside
 * everything else that runs, where it runs unless a move pays. Throws EspalierError when the model's config.json cannot be read on this host.
 */
export const planLive = async (
  backend: Backend,
  deployment: ModelDeployment,
  { catalogueFiles = [], workload, changeNodes = (nodes) => nodes }: LivePlanOptions,
): Promise<LivePlan> => {
  const { metadata, spec } = deployment;
  const model = await readModelProfile(spec.model.uri);
  const beside = (await backend.deployments(undefined)).flatMap((other) =>
    other.status.groups.filter((group) => !isPlanned(other, group)),
  );
  const own = deployment.status.groups;
  const current = currentPlace(own.find(({ index }) => index === 0));
  const siblings = own
    .filter((group) => group.index !== 0 && holdsMemory(group))
    .flatMap(({ members }) => members.map(({ nodeName }) => nodeName));
  const reports = await backend.reports().catch(() => undefined);
  const usage = usageOf(beside);
  const nodes = changeNodes((await backend.nodes()).map((node) => liveNode(node, usage, reports)));
  const catalogue = loadCatalogue(catalogueFiles);
  const result = plan({
    deployment: { namespace: metadata.namespace ?? 'default', name: metadata.name, spec },
    model,
    nodes,
    catalogue,
    siblings,
    ...(current ? { current } : {}),
    ...(workload ? { workload } : {}),
  });
  const gaps = namedGaps(createInventory(nodes, catalogue).topology);
  return { model, nodes, gaps, result };

  function isPlanned({ metadata: other }: ModelDeployment, { index }: GroupStatus): boolean {
    return other.uid === metadata.uid && index === 0;
  }
};

const liveNode = (
  { metadata, spec, status }: ClusterNode,
  usage: Usage,
  reports: readonly ReceivedReport[] | undefined,
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
