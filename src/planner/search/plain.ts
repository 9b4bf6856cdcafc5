import { describeShortfall, listNames } from '../explain.ts';
import { chooseMode, rdmaNotAvailable } from '../interconnect.ts';
import type { Transport } from '../interconnect.ts';
import { interconnectsOf } from '../engine-limits.ts';
import { partitionLayers } from '../partition.ts';
import type { LayerRange } from '../partition.ts';
import { placeOn, placeRanks } from '../placement.ts';
import type { Leaning } from '../placement.ts';
import type { Refusal } from '../refusal.ts';
import { shapeLabel, worldSize } from '../shapes.ts';
import type { Shape } from '../shapes.ts';
import type { CurrentPlacement, MemoryBreakdown } from '../types.ts';
import { namesOf } from './appraise.ts';
import type { Placed } from './appraise.ts';
import type { Engagement } from './option.ts';
import { assignLayers } from './stages.ts';

export type Outcome = { placed: Placed } | { refusal: Refusal };

/**
 * One cut on the roomiest nodes, layers spread evenly: the rule where no speed is known. Else why it cannot be,
 * which is asked of predicted cuts too. Needs a cut that is not impossible.
 */
export const placePlainly = (
  engagement: Engagement,
  shape: Shape,
  transport: Transport,
  leaning?: Leaning,
): Outcome => {
  const { pool, evaluator } = engagement;
  const { engine, model } = evaluator.demand;
  const ranks = worldSize(shape);
  const about = { engine: engine.name, shape };
  if (pool.candidates.length < ranks) {
    const lacksRDMA =
      transport.want === 'RDMA' && !interconnectsOf(engine, shape).includes('RDMA') && ranks > 1;
    const cause = lacksRDMA
      ? { ...rdmaNotAvailable(engine), terminal: true }
      : tooFewNodes(engagement, ranks);
    return { refusal: { option: shapeLabel(shape), ...about, ...cause } };
  }
  const ranges = partitionLayers(model.layers.length, shape.pipelineSize);
  const memories = ranges.map((layers, stage) => evaluator.memoryOf(shape, stage, layers));
  const placement = placeRanks(needsOf(shape, memories), pool, leaning);
  if (placement.ok) {
    const names = namesOf(placement.candidates);
    return withMode(engagement, { shape, ranges }, names, transport);
  }
  const { shortfall } = placement;
  const nodes = pool.candidates.slice(0, ranks);
  const memory = memories.find(({ totalBytes }) => totalBytes === shortfall.needBytes);
  return {
    refusal: {
      option: `${shapeLabel(shape)} on ${listNames(nodes)}`,
      reason: 'InsufficientMemory',
      message: memory ? describeShortfall(shortfall, memory) : '',
      terminal: false,
      shortBytes: shortfall.needBytes - shortfall.leftBytes,
      nodeNames: namesOf(nodes),
      ...about,
    },
  };
};

/** By rank; `memories[stage]` is of any of its ranks. */
const needsOf = ({ tensorSize }: Shape, memories: readonly MemoryBreakdown[]): number[] => {
  const needs: number[] = [];
  for (const { totalBytes } of memories) {
    for (let rank = 0; rank < tensorSize; rank += 1) needs.push(totalBytes);
  }
  return needs;
};

/** The running cut on the running nodes, while it fits: in each way that its layers may be spread. */
export const placeOnCurrent = (
  engagement: Engagement,
  shape: Shape,
  { nodeNames }: CurrentPlacement,
  transport: Transport,
): Placed[] => {
  const { pool, evaluator } = engagement;
  if (nodeNames.some((name) => !pool.named.has(name))) return [];
  return rangesOn(engagement, shape, nodeNames).flatMap((ranges) => {
    const memories = ranges.map((layers, stage) => evaluator.memoryOf(shape, stage, layers));
    if (!placeOn(needsOf(shape, memories), pool, nodeNames)) return [];
    const outcome = withMode(engagement, { shape, ranges }, nodeNames, transport);
    return 'placed' in outcome ? [outcome.placed] : [];
  });
};

/** By speed where all are known, as the search does. */
const rangesOn = (
  { pool, evaluator }: Engagement,
  shape: Shape,
  nodeNames: readonly string[],
): LayerRange[][] => {
  const { model, engine } = evaluator.demand;
  const { tensorSize, pipelineSize } = shape;
  const rooms = Array.from({ length: pipelineSize }, (_, stage) => {
    const names = nodeNames.slice(stage * tensorSize, (stage + 1) * tensorSize);
    const members = names.flatMap((name) => pool.named.get(name) ?? []);
    return {
      speed: Math.min(...members.map(({ seat }) => seat.kind?.chip.memoryBandwidthGBps ?? 0)),
      freeBytes: Math.min(...members.map(({ freeBytes }) => freeBytes)),
    };
  });
  if (rooms.some(({ speed }) => !(speed > 0 && Number.isFinite(speed)))) {
    return [partitionLayers(model.layers.length, pipelineSize)];
  }
  return assignLayers(
    rooms,
    model.layers.length,
    (stage, layers) => evaluator.memoryOf(shape, stage, layers).totalBytes,
    engine.pipeline?.uneven ?? false,
  );
};

const withMode = (
  { pool, evaluator }: Engagement,
  { shape, ranges }: Pick<Placed, 'shape' | 'ranges'>,
  nodeNames: readonly string[],
  transport: Transport,
): Outcome => {
  const { engine } = evaluator.demand;
  const candidates = nodeNames.flatMap((name) => pool.named.get(name) ?? []);
  const ends = candidates.map(({ seat }) => seat);
  const choice = chooseMode(shape, ends, transport, engine);
  if ('refusal' in choice) {
    return { refusal: { ...choice.refusal, engine: engine.name, shape, nodeNames } };
  }
  return { placed: { shape, candidates, ranges, mode: choice.mode } };
};

const tooFewNodes = (
  { pool: { candidates, excluded } }: Engagement,
  ranks: number,
): Pick<Refusal, 'reason' | 'message' | 'terminal'> => {
  const shown = excluded.slice(0, 4).map(({ option, message }) => `${option}: ${message}`);
  const more = excluded.length > shown.length ? `; and ${excluded.length - shown.length} more` : '';
  const total = candidates.length + excluded.length;
  return {
    reason: 'InsufficientNodes',
    message:
      total === 0
        ? `needs ${ranks} node${ranks === 1 ? '' : 's'}, and there is no ClusterNode`
        : `needs ${ranks} node${ranks === 1 ? '' : 's'}, ${candidates.length} of ${total} can be used${shown.length > 0 ? ` (${shown.join('; ')}${more})` : ''}`,
    terminal: false,
  };
};
