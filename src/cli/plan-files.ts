import { parseQuantityBytes } from '../base/quantity.ts';
import { errorMessage, EspalierError } from '../base/errors.ts';
import { loadCatalogue } from '../catalogue/load-catalogue.ts';
import type { Catalogue } from '../catalogue/facts.ts';
import { readModelProfile } from '../catalogue/model-folder.ts';
import { resolveMachine } from '../catalogue/resolve-machine.ts';
import { compareText } from '../planner/eligibility.ts';
import { planFleet } from '../planner/fleet/plan-fleet.ts';
import type { FleetDeployment, FleetPlan } from '../planner/fleet/plan-fleet.ts';
import { createInventory } from '../planner/inventory.ts';
import { namedGaps } from '../planner/topology/topology.ts';
import type { ModelProfile, PlanNode, PlanResult, Workload } from '../planner/types.ts';
import { validateFiles } from '../resources/read-files.ts';
import type { DesiredClusterNode } from '../resources/documents.ts';
import type { ValidationProblem } from '../resources/validation-problem.ts';

export interface PlannedDeployment {
  namespace: string;
  name: string;
  /** Absent where it could not be read; `result` says why. */
  model?: ModelProfile;
  /** Of its first group. */
  result: PlanResult;
  /** Of all its groups, where there are several. */
  groups?: PlanResult[];
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
  /** Thunderbolt cables that cannot do RDMA, each with what is missing. */
  gaps: string[];
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
  ).map((node) => ({ ...node, cpuCount: coresOf(node, catalogue) }));
  const readModel = createReader();
  const deployments: FleetDeployment[] = [];
  const unread: PlannedDeployment[] = [];
  for (const { metadata, spec } of objects.filter((object) => object.kind === 'ModelDeployment')) {
    const { name, namespace } = metadata;
    const model = await readModel(spec.model.uri);
    if ('result' in model) unread.push({ namespace, name, ...model });
    else deployments.push({ namespace, name, spec, model });
  }
  const fleet = { deployments, nodes, catalogue, ...(workload ? { workload } : {}) };
  const planned = planFleet(fleet).flatMap(toPlanned);
  const gaps = namedGaps(createInventory(nodes, catalogue).topology);
  return { plans: [...planned, ...unread].toSorted(byName), nodes, gaps, problems };
};

const toPlanned = ({ namespace, name, model, results }: FleetPlan): PlannedDeployment[] => {
  const [result] = results;
  const groups = results.length > 1 ? { groups: results } : {};
  return result ? [{ namespace, name, model, result, ...groups }] : [];
};

/** Each folder once. What the catalogue of errors knows becomes the deployment's result. */
const createReader = (): ((
  uri: string,
) => Promise<ModelProfile | Pick<PlannedDeployment, 'result'>>) => {
  const known = new Map<string, Promise<ModelProfile>>();
  return async (uri) => {
    const reading = known.get(uri) ?? readModelProfile(uri);
    known.set(uri, reading);
    try {
      return await reading;
    } catch (error) {
      if (!(error instanceof EspalierError)) throw error;
      const message = errorMessage(error);
      const failure = { ok: false, reason: error.code, message, terminal: true } as const;
      return { result: { ...failure, rejected: [], options: [] } };
    }
  };
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

/** Threads of a rank follow from the chip, where the catalogue has it. */
const coresOf = (node: PlanNode, catalogue: Catalogue): number =>
  resolveMachine(catalogue, node)?.chip.cpuCores ?? node.cpuCount;

const byName = (a: PlannedDeployment, b: PlannedDeployment): number =>
  compareText(`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`);
