import { parseQuantityBytes } from '../base/quantity.ts';
import { errorMessage, EspalierError } from '../base/errors.ts';
import { loadCatalogue } from '../catalogue/load-catalogue.ts';
import { readModelProfile } from '../catalogue/model-folder.ts';
import { plan } from '../planner/plan.ts';
import type { ModelProfile, PlanInput, PlanNode, PlanResult, Workload } from '../planner/types.ts';
import { validateFiles } from '../resources/read-files.ts';
import type { DesiredClusterNode, DesiredModelDeployment } from '../resources/documents.ts';
import type { ValidationProblem } from '../resources/validation-problem.ts';

export interface PlannedDeployment {
  namespace: string;
  name: string;
  /** Absent where it could not be read; `result` says why. */
  model?: ModelProfile;
  result: PlanResult;
}

export interface PlanFilesOptions {
  /** Files that extend the catalogue of machines, chips, links and engines. */
  catalogueFiles?: readonly string[];
  /** Changes to the fleet that are in no YAML. */
  changeNodes?: (nodes: PlanNode[]) => PlanNode[];
  workload?: Workload;
}

export interface PlannedFiles {
  plans: PlannedDeployment[];
  nodes: PlanNode[];
  problems: ValidationProblem[];
}

/**
 * Plans every deployment in these files over the ClusterNodes in them, in order of name; each plan takes its
 * memory before the next one is made, as the control plane does. A node has what spec.hardware says.
 */
export const planFiles = async (
  paths: readonly string[],
  { catalogueFiles = [], changeNodes = (nodes) => nodes, workload }: PlanFilesOptions = {},
): Promise<PlannedFiles> => {
  const catalogue = loadCatalogue(catalogueFiles);
  const { objects, problems } = validateFiles(paths);
  const nodes = changeNodes(
    objects.filter((object) => object.kind === 'ClusterNode').map(declaredNode),
  );
  const plans: PlannedDeployment[] = [];
  for (const deployment of objects
    .filter((object) => object.kind === 'ModelDeployment')
    .toSorted(byName)) {
    const planned = await planOne(deployment, {
      nodes,
      catalogue,
      ...(workload ? { workload } : {}),
    });
    plans.push(planned);
    if (planned.result.ok) reserve(nodes, planned.result, deployment.spec.replicas);
  }
  return { plans, nodes, problems };
};

const planOne = async (
  { metadata: { name, namespace }, spec }: DesiredModelDeployment,
  fleet: Pick<PlanInput, 'nodes' | 'catalogue' | 'workload'>,
): Promise<PlannedDeployment> => {
  try {
    const model = await readModelProfile(spec.model.uri);
    const result = plan({ deployment: { namespace, name, spec }, model, ...fleet });
    return { namespace, name, model, result };
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    const message = errorMessage(error);
    const failure = { ok: false, reason: error.code, message, terminal: true } as const;
    return { namespace, name, result: { ...failure, rejected: [], options: [] } };
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
