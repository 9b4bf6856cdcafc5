import type { Catalogue } from '../../catalogue/facts.ts';
import type { ModelProfile } from '../../catalogue/model-profile.ts';
import { sameRevision } from '../../resources/revision.ts';
import type { ModelDeploymentSpec } from '../../resources/types.ts';
import { compareText } from '../eligibility.ts';
import { createInventory, reserve } from '../inventory.ts';
import type { Inventory } from '../inventory.ts';
import type { Correction } from '../performance/correction.ts';
import { predict } from '../performance/predict.ts';
import { createEvaluators } from '../search/evaluate.ts';
import type { Evaluators, Predict } from '../search/evaluate.ts';
import { createGroupPlanner } from '../search/group.ts';
import type { GroupPlanner, GroupRequest } from '../search/group.ts';
import type { Plan, PlanNode, PlanResult, Workload } from '../types.ts';
import { describeHolder } from './describe-holder.ts';
import { preempt } from './preemption.ts';
import type { PlacedGroup } from './preemption.ts';

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
 * Plans many deployments on one fleet, those of the highest priority first. Of equal ones first those that no node
 * holds alone, the largest first, then the others in order of namespace and name. Each takes its memory before the
 * next is planned, on the idle nodes that others miss least (see strainOf), so that meshes stay whole for those that
 * need them.
 *
 * With `current`, groups whose plan still stands keep it, whatever else would be faster: their nodes can be
 * used, have the room and the RDMA, and the deployment did not change. Only the others are planned, and those
 * that had to give something up: they return when what they asked for is possible again. Where a group has no place
 * at all and its deployment may preempt, standing groups of lower priority give way, as few as will do; they are
 * planned anew in their turn.
 */
export const planFleet = (input: FleetInput, how: Predict = predict): FleetPlan[] =>
  planInTurn(input, evaluatorsOf(input, how), 'LargestFirst').plans;

/** As planFleet, and what order of name alone would give: worked out only where size changes the order. */
export const planBothWays = (input: FleetInput): { plans: FleetPlan[]; byName: FleetPlan[] } => {
  const evaluators = evaluatorsOf(input, predict);
  const { plans, wentByName } = planInTurn(input, evaluators, 'LargestFirst');
  return { plans, byName: wentByName ? plans : planInTurn(input, evaluators, 'Name').plans };
};

const evaluatorsOf = ({ catalogue, corrections = [] }: FleetInput, how: Predict): Evaluators =>
  createEvaluators({ predict: how, performance: catalogue.performance, corrections });

/** Within a priority. */
type Order = 'LargestFirst' | 'Name';

const planInTurn = (
  input: FleetInput,
  evaluators: Evaluators,
  order: Order,
): { plans: FleetPlan[]; wentByName: boolean } => {
  const sorted = input.deployments.toSorted((a, b) => compareText(keyOf(a), keyOf(b)));
  const classes = [...Map.groupBy(sorted, ({ spec }) => spec.priority)]
    .toSorted(([left], [right]) => right - left)
    .map(([, peers]) => peers);
  const planning = new FleetPlanning(input, evaluators, classes.flat());
  for (const peers of classes) planning.planPeers(peers, order);
  const results = (deployment: FleetDeployment) => planning.resultsOf(deployment);
  const plans = sorted.map((deployment) => ({ ...deployment, results: results(deployment) }));
  return { plans, wentByName: planning.wentByName };
};

/** One fleet, and by group what was planned on it so far; undefined: nothing yet. */
class FleetPlanning {
  readonly #input: FleetInput;
  readonly #evaluators: Evaluators;
  readonly #before: ReadonlyMap<string, FleetPlan>;
  readonly #inTurn: readonly FleetDeployment[];
  readonly #groups: ReadonlyMap<string, (PlanResult | undefined)[]>;
  /** Who took the place of a group, by deployment and index of the group. */
  readonly #takers = new Map<string, FleetDeployment>();
  #inventory: Inventory;
  #planner: GroupPlanner;
  /** Whether size changed nothing. */
  wentByName = true;

  /** `inTurn`: where not all of what was planned before stands together any more, the first ones do. */
  constructor(input: FleetInput, evaluators: Evaluators, inTurn: readonly FleetDeployment[]) {
    this.#input = input;
    this.#evaluators = evaluators;
    this.#inTurn = inTurn;
    this.#before = new Map((input.current ?? []).map((planned) => [keyOf(planned), planned]));
    this.#inventory = createInventory(input.nodes, input.catalogue);
    this.#planner = this.#plannerOf(this.#inventory);
    this.#groups = new Map(
      inTurn.map((deployment) => {
        const key = keyOf(deployment);
        return [key, standing(this.#planner, deployment, this.#before.get(key))];
      }),
    );
    this.#reserveAll();
  }

  resultsOf(deployment: FleetDeployment): PlanResult[] {
    return this.#groupsOf(deployment).flatMap((result) => result ?? []);
  }

  planPeers(peers: readonly FleetDeployment[], order: Order): void {
    const inTurn = order === 'Name' ? peers : this.#largestFirst(peers);
    this.wentByName &&= inTurn.every((deployment, index) => deployment === peers[index]);
    for (const deployment of inTurn) this.#planOne(deployment);
  }

  #largestFirst(peers: readonly FleetDeployment[]): FleetDeployment[] {
    const sized = peers.map((deployment) => {
      const groups = this.#groupsOf(deployment);
      const isStanding = groups.length > 0 && groups.every((result) => result);
      const bytes = isStanding ? 0 : this.#planner.needsSeveral(this.#requestOf(deployment));
      return { deployment, bytes };
    });
    return sized.toSorted((a, b) => b.bytes - a.bytes).map(({ deployment }) => deployment);
  }

  #planOne(deployment: FleetDeployment): void {
    const { replicas } = deployment.spec;
    const groups = this.#groupsOf(deployment);
    const previous = this.#before.get(keyOf(deployment))?.results ?? [];
    const indexes = Array.from({ length: Math.max(1, replicas) }, (_, index) => index);
    const missing = indexes.filter((index) => !groups[index]);
    for (const [nth, index] of missing.entries()) {
      const before = previous[index];
      const result = this.#place(deployment, {
        ...this.#requestOf(deployment),
        ...(before?.ok ? { current: placementOf(before.plan) } : {}),
        siblings: groups.flatMap(nodesOf),
        groupsAhead: missing.length - nth - 1,
      });
      const taker = this.#takers.get(`${keyOf(deployment)}/${index}`);
      groups[index] = taker ? preempted(result, taker) : result;
      this.#reserve(deployment, result);
    }
  }

  /** Where there is no place, one that groups of lower priority leave, if the deployment may ask for that. */
  #place(deployment: FleetDeployment, request: GroupRequest): PlanResult {
    const result = this.#planner.plan(request);
    const { priority, preemptionPolicy, replicas } = deployment.spec;
    if (result.ok || result.terminal || replicas === 0 || preemptionPolicy === 'Never') {
      return result;
    }
    const found = preempt({
      priority,
      nodes: this.#inventory.seats.map(({ node }) => node),
      groups: this.#placedGroups(),
      plan: (freed) => this.#plannerOf(createInventory(freed, this.#input.catalogue)).plan(request),
    });
    if (!found) return result;
    for (const { deployment: key, index } of found.victims) {
      this.#groups.get(key)?.splice(index, 1, undefined);
      this.#takers.set(`${key}/${index}`, deployment);
    }
    this.#inventory = createInventory(this.#input.nodes, this.#input.catalogue);
    this.#planner = this.#plannerOf(this.#inventory);
    this.#reserveAll();
    return this.#planner.plan(request);
  }

  #placedGroups(): PlacedGroup[] {
    return this.#inTurn.flatMap((deployment) =>
      this.#groupsOf(deployment).flatMap((result, index) => {
        if (!result?.ok || deployment.spec.replicas === 0) return [];
        const ranks = result.plan.ranks.map(({ nodeName, memory }) => ({
          nodeName,
          memoryBytes: memory.totalBytes,
        }));
        const { priority } = deployment.spec;
        return { deployment: keyOf(deployment), index, priority, isReady: true, since: '', ranks };
      }),
    );
  }

  #reserveAll(): void {
    for (const deployment of this.#inTurn) {
      for (const result of this.#groupsOf(deployment)) this.#reserve(deployment, result);
    }
  }

  #reserve(deployment: FleetDeployment, result: PlanResult | undefined): void {
    if (!result?.ok || deployment.spec.replicas === 0) return;
    reserve(this.#inventory, result.plan.ranks, nameOf(deployment));
  }

  #groupsOf(deployment: FleetDeployment): (PlanResult | undefined)[] {
    return this.#groups.get(keyOf(deployment)) ?? [];
  }

  #requestOf(deployment: FleetDeployment): GroupRequest {
    const { workload } = this.#input;
    return { deployment, model: deployment.model, ...(workload ? { workload } : {}) };
  }

  #plannerOf(inventory: Inventory): GroupPlanner {
    return createGroupPlanner(inventory, this.#evaluators);
  }
}

const nameOf = (deployment: FleetDeployment): string =>
  describeHolder(keyOf(deployment), deployment.spec.priority);

const preempted = (result: PlanResult, taker: FleetDeployment): PlanResult =>
  result.ok
    ? result
    : {
        ...result,
        reason: 'Preempted',
        message: `${nameOf(taker)} takes its place; ${result.message}`,
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
  previous: FleetPlan | undefined,
): (PlanResult | undefined)[] => {
  const { spec } = deployment;
  if (!previous || !isSame(previous, deployment)) return [];
  const ran = Math.min(previous.spec.replicas, spec.replicas);
  return previous.results.slice(0, ran).map((result) => {
    if (!result.ok || result.plan.degradedBy.length > 0) return undefined;
    return planner.claim({ spec, plan: result.plan }) ? result : undefined;
  });
};

const isSame = (a: FleetDeployment, b: FleetDeployment): boolean =>
  a.model.revision === b.model.revision &&
  a.model.uri === b.model.uri &&
  (a.spec === b.spec || sameRevision(a.spec, b.spec));
