import type { EngineFacts } from '../../catalogue/facts.ts';
import type { ModelDeploymentSpec } from '../../resources/types.ts';
import { askedShapes, exactShape } from '../asked-shapes.ts';
import type { Margins } from '../capacity.ts';
import { decide } from '../decide.ts';
import { impossible, interconnectsOf, tensorSizesOf } from '../engine-limits.ts';
import { enginesFor, isNamed } from '../engines.ts';
import { transportsOf } from '../interconnect.ts';
import type { Transport } from '../interconnect.ts';
import type { Inventory } from '../inventory.ts';
import { ladder } from '../ladder.ts';
import { contextLengthOf } from '../memory.ts';
import type { Demand } from '../memory.ts';
import { moveMargin } from '../objective.ts';
import { unbiased } from '../placement.ts';
import type { Leaning } from '../placement.ts';
import type { Refusal } from '../refusal.ts';
import { requestRefusal } from '../request.ts';
import { worldSize } from '../shapes.ts';
import type { Shape } from '../shapes.ts';
import type { PlanInput, PlanResult, Workload } from '../types.ts';
import { listRejections, refuse } from '../verdict.ts';
import { createClaims } from './claims.ts';
import type { Claim } from './claims.ts';
import type { Evaluators } from './evaluate.ts';
import { wholeExperts } from './expert.ts';
import { bestOf, listOptions, optionOf } from './option.ts';
import type { Engagement, Option } from './option.ts';
import { crowdOf, optionsFor } from './options.ts';
import type { Attempt } from './options.ts';
import { placeOnCurrent } from './plain.ts';
import { createPools } from './pool.ts';
import type { Pool } from './pool.ts';
import { tooSlow } from './too-slow.ts';

export type GroupRequest = Omit<PlanInput, 'nodes' | 'catalogue' | 'corrections'>;

/** What a deployment wants left free was there when it was planned; what came later may have taken it. */
const noMargins: Margins = { memoryHeadroom: '0', sparesGPU: false };

/** A short chat turn; published decode rates are mostly for prompts of this size. */
const usualWorkload: Workload = { promptTokens: 512, generatedTokens: 128 };

export interface GroupPlanner {
  /** A plan for one group beside what is reserved in the inventory. */
  plan: (request: GroupRequest) => PlanResult;
  /** Bytes that the deployment takes at least, where no node has that much or several are asked for; else 0. */
  needsSeveral: (request: GroupRequest) => number;
  /** Whether a plan of before still stands; its memory counts in later claims. Before anything is reserved. */
  claim: (claim: Claim) => boolean;
}

/**
 * Plans one group after another on one fleet; what an earlier one takes has to be reserved in the inventory.
 * Nodes are sorted once for all of them, and `evaluators` may be shared by all inventories of the same nodes.
 */
export const createGroupPlanner = (inventory: Inventory, evaluators: Evaluators): GroupPlanner => {
  const pools = createPools(inventory);
  const nodes = inventory.seats.map(({ node }) => node);
  const poolFor = (spec: ModelDeploymentSpec, engine: EngineFacts): Pool =>
    pools.of(spec, engine, {
      memoryHeadroom: spec.placement.memoryHeadroom,
      sparesGPU: engine.runsOn === 'AppleGPU' && !exactShape(spec.parallelism),
    });
  const engage = (
    spec: ModelDeploymentSpec,
    demand: Demand,
    workload: Workload = usualWorkload,
  ): Engagement => ({
    evaluator: evaluators(demand, workload),
    pool: poolFor(spec, demand.engine),
  });
  const plan: GroupPlanner['plan'] = (request) => {
    const { model, workload } = request;
    const { spec } = request.deployment;
    const refusal = requestRefusal(spec);
    if (refusal) return refuse([refusal], [], { exact: true });
    const { engines, refusals } = enginesFor(spec, model, inventory.catalogue, nodes);
    if (engines.length === 0) return refuse(refusals, [], { exact: true });
    const leaning = leaningOf(request);
    pools.lean(leaning);
    const engagements = engines.map((engine) =>
      engage(spec, demandOf(spec, model, engine), workload),
    );
    const found = { refusals: [...refusals], options: [] };
    return planWith({ inventory, request, leaning, engagements, ...found });
  };
  const needsSeveral: GroupPlanner['needsSeveral'] = ({
    deployment: { spec },
    model,
    workload,
  }) => {
    const { engines } = enginesFor(spec, model, inventory.catalogue, nodes);
    const exact = exactShape(spec.parallelism);
    const all = engines.map((engine) => engage(spec, demandOf(spec, model, engine), workload));
    const known = all.filter(({ evaluator }) => evaluator.isPredictable);
    const least = (known.length > 0 ? known : all).map(({ pool, evaluator: { leastBytes } }) => {
      const fits = leastBytes <= (pool.candidates[0]?.freeBytes ?? 0);
      return fits && !(exact && worldSize(exact) > 1) ? 0 : leastBytes;
    });
    return least.length > 0 ? Math.min(...least) : 0;
  };
  const claim = createClaims(inventory, ({ spec, plan: { engine: name } }) => {
    const engine = inventory.catalogue.engines.find((each) => each.name === name);
    return engine && pools.of(spec, engine, noMargins);
  });
  return { plan, needsSeveral, claim };
};

const demandOf = (
  spec: ModelDeploymentSpec,
  model: GroupRequest['model'],
  engine: EngineFacts,
): Demand => ({
  model,
  engine,
  contextLength: contextLengthOf(spec, model),
  maxConcurrentRequests: spec.runtime.maxConcurrentRequests,
});

const leaningOf = ({ current, siblings = [] }: GroupRequest): Leaning =>
  current || siblings.length > 0 ? { current: current?.nodeNames ?? [], siblings } : unbiased;

const groupsOf = ({ groupsAhead = 0 }: GroupRequest): number => 1 + groupsAhead;

interface Search {
  inventory: Inventory;
  request: GroupRequest;
  leaning: Leaning;
  engagements: Engagement[];
  /** Grow while options are tried. */
  refusals: Refusal[];
  options: Option[];
}

const planWith = (search: Search): PlanResult => {
  const { request, engagements, refusals, options } = search;
  const { spec } = request.deployment;
  const excluded = leastExcluded(engagements);
  for (const transport of transportsOf(spec)) {
    const chosen = searchOver(search, transport);
    if (!chosen) continue;
    const runnerUp = bestOf(
      options.filter(({ label, predicted }) => predicted && label !== chosen.label),
    );
    const { architecture } = request.model;
    const isUnnamed = !isNamed(search.inventory.catalogue.engines, architecture);
    const found = decide(chosen, { spec, transport, isUnnamed, ...(runnerUp ? { runnerUp } : {}) });
    const experts = wholeExperts(search.inventory, spec, chosen);
    const refused = experts ? [...refusals, experts] : refusals;
    return {
      ok: true,
      plan: {
        ...found,
        rejected: listRejections(refused, chosen.engagement.pool.excluded),
      },
      options: listOptions(chosen, options, refused, spec.objective),
    };
  }
  const slow = tooSlow(search.inventory, request, engagements, options);
  const exact = exactShape(spec.parallelism) !== undefined;
  const result = slow
    ? refuse([slow], excluded, { exact: true })
    : refuse(refusals, excluded, { exact });
  return result.ok
    ? result
    : { ...result, options: listOptions(undefined, options, refusals, spec.objective) };
};

/** Of the engine that most nodes can run. */
const leastExcluded = (engagements: readonly Engagement[]): readonly Refusal[] =>
  engagements.map(({ pool }) => pool.excluded).toSorted((a, b) => a.length - b.length)[0] ?? [];

/** The best option over this transport; what does not work is added to `refusals`, once. */
const searchOver = (search: Search, transport: Transport): Option | undefined => {
  const { request, engagements } = search;
  const { spec } = request.deployment;
  const asked = (engagement: Engagement): readonly Shape[] =>
    askedShapes(spec.parallelism, engagement.evaluator.demand.engine, {
      model: request.model,
      nodeCount: engagement.pool.candidates.length,
    });
  const tried = attempt(search, transport, asked, []);
  const kept = keepCurrent(search, transport, asked);
  if (kept && !(tried && isWorthMoving(tried, kept))) return kept;
  if (tried) return tried;
  // The ladder is for nodes that are missing or full; a cut that can never work is for the user to change.
  const exact = exactShape(spec.parallelism);
  if (!exact) return undefined;
  const willing = engagements.filter(({ evaluator: { demand } }) => {
    const isMute =
      transport.want === 'RDMA' && !interconnectsOf(demand.engine, exact).includes('RDMA');
    return !isMute && !impossible(request.model, exact, demand.engine);
  });
  const rungs = ladder(exact, spec.degradation.allow, allSizes(willing));
  for (const { shape, degradedBy } of rungs) {
    const found = attempt(
      { ...search, engagements: willing },
      transport,
      () => [shape],
      degradedBy,
    );
    if (found) return found;
  }
  return undefined;
};

/** Apart from the other groups of its deployment is worth it too, where that costs no speed. */
const isWorthMoving = (tried: Option, kept: Option): boolean =>
  tried.score > kept.score * (1 + moveMargin) ||
  (tried.score >= kept.score && sharedBy(tried) < sharedBy(kept));

const sharedBy = ({ candidates }: Option): number =>
  candidates.reduce((sum, { siblings }) => sum + siblings, 0);

const allSizes = (engagements: readonly Engagement[]): number[] =>
  [
    ...new Set(
      engagements.flatMap(({ evaluator: { demand } }) =>
        tensorSizesOf(demand.engine, demand.model),
      ),
    ),
  ].toSorted((a, b) => a - b);

const attempt = (
  search: Search,
  transport: Transport,
  shapesOf: (engagement: Engagement) => readonly Shape[],
  degradedBy: Option['degradedBy'],
): Option | undefined => {
  const { request, engagements, inventory, refusals, options } = search;
  const { objective, degradation } = request.deployment.spec;
  const asked: Attempt = {
    topology: inventory.topology,
    links: inventory.links,
    objective,
    transport,
    leaning: search.leaning,
    groups: groupsOf(request),
  };
  const found = engagements.flatMap((engagement) => {
    const tried = optionsFor(engagement, shapesOf(engagement), degradedBy, asked);
    const { name } = engagement.evaluator.demand.engine;
    for (const refused of tried.refusals) {
      const option = `${name}: ${refused.option}`;
      const refusal = engagements.length > 1 ? { ...refused, option } : refused;
      if (!refusals.some((known) => isSame(known, refusal))) refusals.push(refusal);
    }
    return tried.options;
  });
  options.push(...found);
  const least = degradation.minTokensPerSecond;
  // Where some speeds are known, an option of unknown speed is no way around the minimum.
  const isJudged = least > 0 && options.some(({ predicted }) => predicted);
  return bestOf(
    found.filter((option) => isFastEnough(least)(option) && (option.predicted || !isJudged)),
  );
};

const isSame = (a: Refusal, b: Refusal): boolean =>
  a.option === b.option && a.reason === b.reason && a.engine === b.engine;

/** Where nothing is predicted there is nothing to judge; the explanation says so. */
const isFastEnough =
  (leastTokensPerSecond: number) =>
  ({ predicted }: Option): boolean =>
    !predicted || predicted.decodeTokensPerSecond >= leastTokensPerSecond;

/** The running cut on the running nodes, if it is one that was asked for, fits, and is fast enough. */
const keepCurrent = (
  { inventory, request, engagements, options }: Search,
  transport: Transport,
  asked: (engagement: Engagement) => readonly Shape[],
): Option | undefined => {
  const { current, model, deployment } = request;
  if (!current) return undefined;
  const { objective, degradation } = deployment.spec;
  for (const engagement of engagements) {
    const { engine } = engagement.evaluator.demand;
    if (current.engine !== undefined && current.engine !== engine.name) continue;
    const shape = asked(engagement).find(
      ({ tensorSize, pipelineSize }) =>
        tensorSize === current.tensorSize && pipelineSize === current.pipelineSize,
    );
    if (!shape || impossible(model, shape, engine)) continue;
    const about = {
      links: inventory.links,
      objective,
      crowd: crowdOf(engagement, groupsOf(request)),
      degradedBy: [],
    };
    const ways = placeOnCurrent(engagement, shape, current, transport).map((placed) => ({
      ...optionOf(placed, engagement, about),
      isCurrent: true,
    }));
    const kept = bestOf(ways.filter(isFastEnough(degradation.minTokensPerSecond)));
    if (!kept) continue;
    options.push(kept);
    return kept;
  }
  return undefined;
};
