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
import type { GroupPlanner, GroupRequest } from '../search/group.ts';
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
 * Plans many deployments on one fleet: first those that no node holds alone, the largest first, then the others in
 * order of namespace and name. The API has no priorities, so none is preempted. Each takes its memory before the next
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
  const planned = new Map<FleetDeployment, FleetPlan>();
  const planOne = (
    deployment: FleetDeployment,
    known: readonly (PlanResult | undefined)[],
  ): FleetPlan => {
    const { spec } = deployment;
    const siblings = known.flatMap((result) => nodesOf(result));
    const count = Math.max(1, spec.replicas);
    let ahead = count - known.filter((result) => result).length;
    const results = Array.from({ length: count }, (_, group): PlanResult => {
      const standing = known[group];
      if (standing) return standing;
      ahead -= 1;
      const previous = before.get(keyOf(deployment))?.results[group];
      const result = planner.plan({
        ...requestOf(deployment, workload),
        ...(previous?.ok ? { current: placementOf(previous.plan) } : {}),
        siblings: [...siblings],
        groupsAhead: ahead,
      });
      siblings.push(...nodesOf(result));
      if (result.ok && spec.replicas > 0) reserve(inventory, result.plan.ranks);
      return result;
    });
    return { ...deployment, results };
  };
  const inTurn = sorted.map((deployment, index) => {
    const known = kept[index] ?? [];
    const isStanding = known.length > 0 && known.every((result) => result);
    const bytes = isStanding ? 0 : planner.needsSeveral(requestOf(deployment, workload));
    return { deployment, known, bytes };
  });
  for (const { deployment, known } of inTurn.toSorted((a, b) => b.bytes - a.bytes)) {
    planned.set(deployment, planOne(deployment, known));
  }
  return sorted.flatMap((deployment) => planned.get(deployment) ?? []);
};

const requestOf = (deployment: FleetDeployment, workload: Workload | undefined): GroupRequest => ({
  deployment,
  model: deployment.model,
  ...(workload ? { workload } : {}),
});

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
