import { canonicalJson } from '../../base/canonical-json.ts';
import type { Catalogue } from '../../catalogue/facts.ts';
import type { ModelProfile } from '../../catalogue/model-profile.ts';
import type { ModelDeploymentSpec } from '../../resources/types.ts';
import { compareText } from '../eligibility.ts';
import { createInventory, reserve } from '../inventory.ts';
import type { Correction } from '../performance/correction.ts';
import { predict } from '../performance/predict.ts';
import type { Predict } from '../search/evaluate.ts';
import { createGroupPlanner } from '../search/group.ts';
import type { GroupPlanner } from '../search/group.ts';
import type { Plan, PlanNode, PlanResult, Workload } from '../types.ts';

export interface FleetDeployment {
  namespace: string;
  name: string;
  spec: ModelDeploymentSpec;
  model: ModelProfile;
}

export interface FleetInput {
  deployments: readonly FleetDeployment[];
  nodes: readonly PlanNode[];
  catalogue: Catalogue;
  workload?: Workload;
  /** What the fleet measured beside what was predicted. */
  corrections?: readonly Correction[];
  /** What runs now: plans that still stand are handed back as they are. */
  current?: readonly FleetPlan[];
}

/** One deployment with a result for each of its groups; for one where it asks for none, to say what it would take. */
export interface FleetPlan extends FleetDeployment {
  results: PlanResult[];
}

/**
 * Plans many deployments on one fleet, in order of namespace and name: the API has no priorities, so none is
 * preempted, and one that comes later never moves one that came before. Each takes its memory before the next
 * is planned, on the idle nodes that others miss least (see strainOf), so that meshes stay whole for those that
 * need them.
 *
 * With `current`, groups whose plan still stands keep it, whatever else would be faster: their nodes can be
 * used, have the room and the RDMA, and the deployment did not change. Only the others are planned, and those
 * that had to give something up: they return when what they asked for is possible again.
 */
export const planFleet = (
  { deployments, nodes, catalogue, workload, corrections = [], current = [] }: FleetInput,
  how: Predict = predict,
): FleetPlan[] => {
  const inventory = createInventory(nodes, catalogue);
  const planner = createGroupPlanner(inventory, how, corrections);
  const before = new Map(current.map((planned) => [keyOf(planned), planned]));
  const sorted = deployments.toSorted((a, b) => compareText(keyOf(a), keyOf(b)));
  const kept = sorted.map((deployment) => standing(planner, deployment, before));
  for (const results of kept) {
    for (const result of results) if (result?.ok) reserve(inventory, result.plan.ranks);
  }
  return sorted.map((deployment, index) => {
    const { spec } = deployment;
    const siblings = (kept[index] ?? []).flatMap((result) => nodesOf(result));
    const results = Array.from({ length: Math.max(1, spec.replicas) }, (_, group): PlanResult => {
      const known = kept[index]?.[group];
      if (known) return known;
      const previous = before.get(keyOf(deployment))?.results[group];
      const result = planner.plan({
        deployment,
        model: deployment.model,
        ...(workload ? { workload } : {}),
        ...(previous?.ok ? { current: placementOf(previous.plan) } : {}),
        siblings: [...siblings],
      });
      siblings.push(...nodesOf(result));
      if (result.ok && spec.replicas > 0) reserve(inventory, result.plan.ranks);
      return result;
    });
    return { ...deployment, results };
  });
};

const nodesOf = (result: PlanResult | undefined): string[] =>
  result?.ok ? result.plan.ranks.map(({ nodeName }) => nodeName) : [];

const keyOf = ({ namespace, name }: Pick<FleetDeployment, 'namespace' | 'name'>): string =>
  `${namespace}/${name}`;

const placementOf = ({ tensorSize, pipelineSize, engine, ranks }: Plan) => ({
  tensorSize,
  pipelineSize,
  engine,
  nodeNames: ranks.map(({ nodeName }) => nodeName),
});

/** The results of groups that need no new plan, by index; their memory is spoken for. */
const standing = (
  planner: GroupPlanner,
  deployment: FleetDeployment,
  before: ReadonlyMap<string, FleetPlan>,
): (PlanResult | undefined)[] => {
  const previous = before.get(keyOf(deployment));
  const { spec, model } = deployment;
  if (!previous || spec.replicas === 0 || !isSame(previous, deployment)) return [];
  return previous.results.slice(0, spec.replicas).map((result) => {
    if (!result.ok || result.plan.degradedBy.length > 0) return undefined;
    return planner.claim({ spec, model, plan: result.plan }) ? result : undefined;
  });
};

const isSame = (a: FleetDeployment, b: FleetDeployment): boolean =>
  a.model.revision === b.model.revision &&
  a.model.uri === b.model.uri &&
  (a.spec === b.spec || canonicalJson(a.spec) === canonicalJson(b.spec));
