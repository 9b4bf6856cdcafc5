import { contentHash } from '../base/canonical-json.ts';
import { builtInEngine } from '../catalogue/engine-capabilities.ts';
import { capacityOf } from './capacity.ts';
import type { Candidate, Capacity } from './capacity.ts';
import { indivisible } from './divisibility.ts';
import { selectNodes } from './eligibility.ts';
import { describeShortfall, explainChoice, listNames } from './explain.ts';
import { chooseMode, rdmaGap, rdmaNotAvailable, transportsOf } from './interconnect.ts';
import type { Transport } from './interconnect.ts';
import { ladder } from './ladder.ts';
import type { Rung } from './ladder.ts';
import { contextLengthOf, rankMemory } from './memory.ts';
import type { Demand } from './memory.ts';
import { partitionLayers } from './partition.ts';
import { placeOn, placeRanks } from './placement.ts';
import { requestRefusal } from './request.ts';
import type { Refusal } from './refusal.ts';
import { askedShapes, exactShape, shapeLabel, strategyOf, worldSize } from './shapes.ts';
import type { Shape } from './shapes.ts';
import type { Plan, PlannedRank, PlanInput, PlanResult } from './types.ts';
import { listRejections, refuse } from './verdict.ts';

/**
 * Decides how one group of a deployment is cut, on which nodes, over what. Pure: the same input gives the
 * same plan, and the order of nodes and links changes nothing.
 *
 * Tried in order: what was asked for, then the rungs of the degradation ladder, over RDMA if that was asked
 * for, then all of it over TCP if that is allowed. Strategy Auto tries one node, then tensor groups, then
 * stages, the fewest ranks first: until the cost of an exchange is measured, fewer ranks are never slower.
 */
export const plan = (input: PlanInput): PlanResult => {
  const { deployment, model, nodes } = input;
  const { spec } = deployment;
  const refusal = requestRefusal(spec, model, builtInEngine);
  if (refusal) return refuse([refusal], [], { exact: true });

  const { eligible, excluded } = selectNodes(nodes, spec, builtInEngine.name);
  const search: Search = {
    input,
    demand: {
      model,
      engine: builtInEngine,
      contextLength: contextLengthOf(spec, model),
      maxConcurrentRequests: spec.runtime.maxConcurrentRequests,
    },
    capacity: capacityOf(nodes, eligible, spec.placement.memoryHeadroom),
    excluded,
  };
  const refusals: Refusal[] = [];
  for (const transport of transportsOf(spec)) {
    const found = searchOver(search, transport, refusals);
    if (found) {
      return { ok: true, plan: { ...found, rejected: listRejections(refusals, excluded) } };
    }
  }
  return refuse(refusals, excluded, { exact: exactShape(spec.parallelism) !== undefined });
};

interface Search {
  input: PlanInput;
  demand: Demand;
  capacity: Capacity;
  excluded: Refusal[];
}

type Found = Omit<Plan, 'rejected'>;

/** The first option that works over this transport; what does not is added to `refusals`, once. */
const searchOver = (
  search: Search,
  transport: Transport,
  refusals: Refusal[],
): Found | undefined => {
  const { spec } = search.input.deployment;
  const asked = askedShapes(spec.parallelism, search.demand.engine, {
    layers: search.demand.model.layers.length,
    nodeCount: search.capacity.candidates.length,
  });
  const kept = keepCurrent(search, asked, transport);
  if (kept) return kept;

  const tryAll = (rungs: Rung[]): Found | undefined => {
    for (const rung of rungs) {
      const outcome = tryRung(search, rung, transport);
      if ('found' in outcome) return outcome.found;
      const { refusal } = outcome;
      const known = refusals.some(
        ({ option, reason }) => option === refusal.option && reason === refusal.reason,
      );
      if (!known) refusals.push(refusal);
    }
    return undefined;
  };
  const found = tryAll(asked.map((shape) => ({ shape, degradedBy: [] })));
  if (found) return found;
  // The ladder is for nodes that are missing or full; a cut that can never work is for the user to change.
  const exact = exactShape(spec.parallelism);
  if (!exact || indivisible(search.demand.model, exact, search.demand.engine)) return undefined;
  if (transport.want === 'RDMA' && !search.demand.engine.interconnects.includes('RDMA')) {
    return undefined;
  }
  return tryAll(ladder(exact, spec.degradation.allow, search.demand.engine));
};

/** The running cut on the running nodes, if it is one that was asked for and still fits: nothing moves. */
const keepCurrent = (search: Search, asked: Shape[], transport: Transport): Found | undefined => {
  const { current } = search.input;
  if (!current) return undefined;
  const shape = asked.find(
    ({ tensorSize, pipelineSize }) =>
      tensorSize === current.tensorSize && pipelineSize === current.pipelineSize,
  );
  if (!shape || indivisible(search.demand.model, shape, search.demand.engine)) return undefined;
  const cut = cutModel(search.demand, shape);
  const candidates = placeOn(
    cut.map(({ memory }) => memory.totalBytes),
    search.capacity,
    current.nodeNames,
  );
  if (!candidates) return undefined;
  const outcome = decide(search, { shape, degradedBy: [] }, cut, candidates, transport);
  return 'found' in outcome ? outcome.found : undefined;
};

type Outcome = { found: Found } | { refusal: Refusal };

const tryRung = (search: Search, rung: Rung, transport: Transport): Outcome => {
  const { capacity, demand, input } = search;
  const { shape } = rung;
  const never = indivisible(demand.model, shape, demand.engine);
  if (never) return { refusal: never };

  const ranks = worldSize(shape);
  const noRDMA = transport.want === 'RDMA' && !demand.engine.interconnects.includes('RDMA');
  if (capacity.candidates.length < ranks) {
    const cause =
      noRDMA && ranks > 1
        ? { ...rdmaNotAvailable(demand.engine), terminal: true }
        : tooFewNodes(search, ranks);
    return { refusal: { option: shapeLabel(shape), ...cause } };
  }
  const cut = cutModel(demand, shape);
  const placement = placeRanks(
    cut.map(({ memory }) => memory.totalBytes),
    capacity,
    input.current?.nodeNames,
  );
  if (placement.ok) return decide(search, rung, cut, placement.candidates, transport);
  const { shortfall } = placement;
  const memory = cut.find(
    ({ memory: { totalBytes } }) => totalBytes === shortfall.needBytes,
  )?.memory;
  return {
    refusal: {
      option: `${shapeLabel(shape)} on ${listNames(capacity.candidates.slice(0, ranks))}`,
      reason: 'InsufficientMemory',
      message: memory ? describeShortfall(shortfall, memory) : '',
      terminal: false,
      shortBytes: shortfall.needBytes - shortfall.leftBytes,
    },
  };
};

const tooFewNodes = (
  { capacity, excluded, input }: Search,
  ranks: number,
): Pick<Refusal, 'reason' | 'message' | 'terminal'> => {
  const shown = excluded.slice(0, 4).map(({ option, message }) => `${option}: ${message}`);
  const more = excluded.length > shown.length ? `; and ${excluded.length - shown.length} more` : '';
  return {
    reason: 'InsufficientNodes',
    message: `needs ${ranks} node${ranks === 1 ? '' : 's'}, ${capacity.candidates.length} of ${input.nodes.length} can be used${shown.length > 0 ? ` (${shown.join('; ')}${more})` : ''}`,
    terminal: false,
  };
};

type CutRank = Omit<PlannedRank, 'nodeName' | 'threads'>;

/** World rank = stage × tensorSize + tensorRank. */
const cutModel = (demand: Demand, shape: Shape): CutRank[] =>
  partitionLayers(demand.model.layers.length, shape.pipelineSize).flatMap((layers, stage) => {
    const memory = rankMemory(demand, shape, stage, layers);
    return Array.from({ length: shape.tensorSize }, (_, tensorRank) => ({
      rank: stage * shape.tensorSize + tensorRank,
      tensorRank,
      stage,
      ...layers,
      memory,
    }));
  });

const decide = (
  { input, demand }: Search,
  { shape, degradedBy }: Rung,
  cut: CutRank[],
  candidates: Candidate[],
  transport: Transport,
): Outcome => {
  const nodes = candidates.map(({ node }) => node);
  const choice = chooseMode(shape, nodes, transport, demand.engine);
  if ('refusal' in choice) return choice;
  const ranksOnHost = Map.groupBy(candidates, ({ host }) => host);
  const ranks = cut.flatMap((rank): PlannedRank[] => {
    const candidate = candidates[rank.rank];
    if (!candidate) return [];
    const sharers = ranksOnHost.get(candidate.host)?.length ?? 1;
    const threads = Math.max(1, Math.floor(candidate.node.cpuCount / sharers));
    return [{ nodeName: candidate.node.name, ...rank, threads }];
  });
  const decided = {
    strategy: strategyOf(shape),
    ...shape,
    interconnectMode: choice.mode,
    engine: demand.engine.name,
    contextLength: demand.contextLength,
    ranks,
  };
  const gap = rdmaGap(shape, nodes) ?? `engine ${demand.engine.name} cannot exchange over RDMA yet`;
  const gaveUp: Plan['degradedBy'] =
    transport.degraded && choice.mode === 'TCP' ? [...degradedBy, 'TCP'] : degradedBy;
  const explanation = explainChoice({
    spec: input.deployment.spec,
    model: demand.model,
    shape,
    candidates,
    plan: { ...decided, degradedBy: gaveUp },
    rdmaGap: gap,
  });
  return { found: { hash: hashOf(decided), ...decided, degradedBy: gaveUp, explanation } };
};

/** Over what is decided; memory follows from it, and prose does not count. */
const hashOf = ({
  ranks,
  ...decided
}: Omit<Found, 'hash' | 'degradedBy' | 'explanation'>): string =>
  contentHash({ ...decided, ranks: ranks.map((rank) => ({ ...rank, memory: undefined })) });
