import { parseQuantityBytes } from '../base/quantity.ts';
import { errorMessage, EspalierError } from '../base/errors.ts';
import { loadCatalogue } from '../catalogue/load-catalogue.ts';
import type { Catalogue } from '../catalogue/facts.ts';
import { readModelProfile } from '../catalogue/model-folder.ts';
import { resolveMachine } from '../catalogue/resolve-machine.ts';
import { compareText } from '../planner/eligibility.ts';
import { planBothWays } from '../planner/fleet/plan-fleet.ts';
import type { FleetDeployment, FleetPlan } from '../planner/fleet/plan-fleet.ts';
import type { PlacedGroup } from '../planner/fleet/preemption.ts';
import { createInventory } from '../planner/inventory.ts';
import { namedGaps } from '../planner/topology/topology.ts';
import type { ModelProfile, PlanNode, PlanResult, Workload } from '../planner/types.ts';
import { validateFiles } from '../resources/read-files.ts';
import type { DesiredClusterNode } from '../resources/documents.ts';
import type { ValidationProblem } from '../resources/validation-problem.ts';

export interface PlannedDeployment {
  namespace: string;
  name: string;
  priority: number;
  /** Absent where it could not be read; `result` says why. */
  model?: ModelProfile;
  /** Of its first group. */
  result: PlanResult;
  /** Of all its groups, where there are several. */
  groups?: PlanResult[];
  /** Groups that would have to leave for it. */
  victims?: PlacedGroup[];
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
  /** What else is to be known of these plans. */
  notes: string[];
  problems: ValidationProblem[];
  /** Documents that are passed over, as none of Espalier's, and why. */
  skipped?: readonly { file: string; line: number; message: string }[];
}

/**
 * Plans every deployment in these files over the ClusterNodes in them, as planFleet does; a node has what spec.hardware
 * says. Notes say whom the control plane would treat otherwise were all applied at once.
 */
export const planFiles = async (
  paths: readonly string[],
  { catalogueFiles = [], changeNodes = (nodes) => nodes, workload }: PlanFilesOptions = {},
): Promise<PlannedFiles> => {
  const catalogue = loadCatalogue(catalogueFiles);
  const { objects, problems, notes: skipped } = validateFiles(paths);
  const nodes = changeNodes(
    objects.filter((object) => object.kind === 'ClusterNode').map(declaredNode),
  ).map((node) => ({ ...node, cpuCount: coresOf(node, catalogue) }));
  const readModel = createReader();
  const deployments: FleetDeployment[] = [];
  const unread: PlannedDeployment[] = [];
  for (const { metadata, spec } of objects.filter((object) => object.kind === 'ModelDeployment')) {
    const { name, namespace } = metadata;
    const { priority } = spec;
    const model = await readModel(spec.model.uri);
    if ('result' in model) unread.push({ namespace, name, priority, ...model });
    else deployments.push({ namespace, name, spec, model });
  }
  const fleet = { deployments, nodes, catalogue, ...(workload ? { workload } : {}) };
  const { plans: planned, byName: inOrderOfName } = planBothWays(fleet);
  const notes = orderNotes(planned, inOrderOfName);
  const gaps = namedGaps(createInventory(nodes, catalogue).topology);
  const plans = [...planned.flatMap(toPlanned), ...unread].toSorted(byName);
  return { plans, nodes, gaps, notes, problems, skipped };
};

const toPlanned = ({ namespace, name, spec, model, results }: FleetPlan): PlannedDeployment[] => {
  const [result] = results;
  const groups = results.length > 1 ? { groups: results } : {};
  const { priority } = spec;
  return result ? [{ namespace, name, priority, model, result, ...groups }] : [];
};

/** Where the largest does not come first, as for a control plane that meets all of them at once. */
const orderNotes = (planned: readonly FleetPlan[], byName: readonly FleetPlan[]): string[] => {
  const changed = planned.flatMap(({ namespace, name, results }, index) => {
    const [here, there] = [results, byName[index]?.results ?? []].map(placesOf);
    return here === there ? [] : `${namespace}/${name} gets ${there} of ${results.length} places`;
  });
  if (changed.length === 0) return [];
  return [
    `The control plane does not plan the largest first, but the oldest. Of one age it goes by name, and then ` +
      `${changed.join(', ')}. A higher spec.priority puts a deployment first, and so does applying it first.`,
  ];
};

const placesOf = (results: readonly PlanResult[]): number => results.filter(({ ok }) => ok).length;

/** Each folder once. What the catalogue of errors knows becomes the deployment's result. */
const createReader = (): ((
  uri: string,
) => Promise<ModelProfile | Pick<PlannedDeployment, 'result'>>) => {
  const known = new Map<string, Promise<ModelProfile>>();
  return async (uri) => {
    const reading = known.get(uri) ?? readModelProfile(uri, { planOnly: true });
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
