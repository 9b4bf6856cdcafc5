import { parseQuantityBytes } from '../base/quantity.ts';
import { errorMessage, EspalierError } from '../base/errors.ts';
import { loadCatalogue } from '../catalogue/load-catalogue.ts';
import { readModelProfile } from '../catalogue/model-folder.ts';
import { plan } from '../planner/plan.ts';
import type { PlanNode, PlanResult } from '../planner/types.ts';
import { validateFiles } from '../resources/read-files.ts';
import type { DesiredClusterNode, DesiredModelDeployment } from '../resources/documents.ts';
import type { ValidationProblem } from '../resources/validation-problem.ts';

export interface PlannedDeployment {
  namespace: string;
  name: string;
  result: PlanResult;
}

/**
 * Plans every deployment in these files over the ClusterNodes in them, in order of name; each plan takes its
 * memory before the next one is made, as the control plane does. A node has what spec.hardware says.
 */
export const planFiles = async (
  paths: readonly string[],
): Promise<{ plans: PlannedDeployment[]; problems: ValidationProblem[] }> => {
  const { objects, problems } = validateFiles(paths);
  const nodes = objects.filter((object) => object.kind === 'ClusterNode').map(declaredNode);
  const plans: PlannedDeployment[] = [];
  for (const deployment of objects
    .filter((object) => object.kind === 'ModelDeployment')
    .toSorted(byName)) {
    const { name, namespace } = deployment.metadata;
    const result = await planOne(namespace, deployment, nodes);
    plans.push({ namespace, name, result });
    if (result.ok) reserve(nodes, result, deployment.spec.replicas);
  }
  return { plans, problems };
};

const planOne = async (
  namespace: string,
  { metadata: { name }, spec }: DesiredModelDeployment,
  nodes: PlanNode[],
): Promise<PlanResult> => {
  try {
    const model = await readModelProfile(spec.model.uri);
    return plan({
      deployment: { namespace, name, spec },
      model,
      nodes,
      catalogue: loadCatalogue(),
    });
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    const message = errorMessage(error);
    return { ok: false, reason: error.code, message, terminal: true, rejected: [], options: [] };
  }
};

const reserve = (nodes: PlanNode[], result: PlanResult & { ok: true }, replicas: number): void => {
  if (replicas === 0) return;
  for (const { nodeName, memory } of result.plan.ranks) {
    const node = nodes.find(({ name }) => name === nodeName);
    if (node) node.usedMemoryBytes += memory.totalBytes;
  }
};

/** Without spec.hardware.memory nothing fits on a node, and the plan says so. */
const declaredNode = ({ metadata, spec }: DesiredClusterNode): PlanNode => ({
  name: metadata.name,
  labels: metadata.labels ?? {},
  spec,
  ...(spec.hardware?.memory === undefined
    ? {
        available: false,
        unavailableReason:
          'its memory is not known: no daemon has reported here, and spec.hardware.memory is not set',
      }
    : { available: true }),
  hostID: metadata.name,
  hardwareModel: spec.hardware?.model ?? '',
  chip: '',
  osVersion: '',
  cpuCount: 1,
  memoryBytes: parseQuantityBytes(spec.hardware?.memory ?? '0') ?? 0,
  usedMemoryBytes: 0,
  engines: [],
  links: spec.links.map(({ peerNodeName, type }) => ({
    peerNodeName,
    type,
    rdma: type === 'Thunderbolt5' && spec.linkPolicy.allowRDMA,
    up: true,
  })),
});

const byName = (
  left: { metadata: { name: string } },
  right: { metadata: { name: string } },
): number => (left.metadata.name < right.metadata.name ? -1 : 1);
