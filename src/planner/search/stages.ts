import { partitionLayers } from '../partition.ts';
import type { LayerRange } from '../partition.ts';

/** Who takes one stage: how fast, and what the fullest of its ranks has left. */
export interface StageRoom {
  speed: number;
  freeBytes: number;
}

/** Bytes of a rank of this stage with these layers. */
export type StageBytes = (stage: number, layers: LayerRange) => number;

/**
 * Layers to stages so that each fits its memory, in the ways that are worth a prediction: evenly where all are as
 * fast; else in proportion to speed (where memory forbids that, so that the slowest stage is as fast as it can
 * be), which serves many requests, and with the fastest filled first, which serves one. None when nothing fits.
 */
export const assignLayers = (
  rooms: readonly StageRoom[],
  layers: number,
  bytesOf: StageBytes,
  mayBeUneven: boolean,
): LayerRange[][] => {
  if (rooms.length > layers) return [];
  const fits = (ranges: LayerRange[]): boolean =>
    ranges.every((range, stage) => bytesOf(stage, range) <= (rooms[stage]?.freeBytes ?? 0));
  const even = partitionLayers(layers, rooms.length);
  const isEven = rooms.every(({ speed }) => speed === rooms[0]?.speed);
  if ((isEven || !mayBeUneven) && fits(even)) return [even];
  if (!mayBeUneven) return [];
  const proportional = rangesOf(shares(rooms, layers));
  const balanced = fits(proportional) ? proportional : byBottleneck(rooms, layers, bytesOf);
  if (!balanced) return [];
  const filled = isEven ? undefined : fill(rooms, layers, bytesOf, Infinity);
  return filled ? [balanced, filled] : [balanced];
};

/** In proportion to speed by largest remainder, at least one layer each; ties go to earlier stages. */
const shares = (rooms: readonly StageRoom[], layers: number): number[] => {
  const total = rooms.reduce((sum, { speed }) => sum + speed, 0);
  const spare = layers - rooms.length;
  const exact = rooms.map(({ speed }) => (speed / total) * spare);
  const counts = exact.map((share) => 1 + Math.floor(share));
  const left = layers - counts.reduce((sum, count) => sum + count, 0);
  const order = exact
    .map((share, stage) => ({ stage, remainder: share - Math.floor(share) }))
    .toSorted((a, b) => b.remainder - a.remainder || a.stage - b.stage);
  for (const { stage } of order.slice(0, left)) counts[stage] = (counts[stage] ?? 0) + 1;
  return counts;
};

const rangesOf = (counts: readonly number[]): LayerRange[] => {
  let firstLayer = 0;
  return counts.map((count) => {
    const range = { firstLayer, endLayer: firstLayer + count };
    firstLayer = range.endLayer;
    return range;
  });
};

/**
 * The least time that no stage exceeds, by trying the layers ÷ speed that can bind, of each speed those that beat
 * the ones before: each stage takes as many layers as time and memory allow. Exact, for a stage that takes fewer
 * never helps a later one.
 */
const byBottleneck = (
  rooms: readonly StageRoom[],
  layers: number,
  bytesOf: StageBytes,
): LayerRange[] | undefined => {
  const speeds = new Set(rooms.map(({ speed }) => speed));
  let time = layers / Math.min(...speeds);
  let best = fill(rooms, layers, bytesOf, time);
  if (!best) return undefined;
  for (const speed of speeds) {
    let low = 1;
    let high = Math.ceil(time * speed);
    while (low < high) {
      const middle = (low + high) >> 1;
      const ranges = fill(rooms, layers, bytesOf, middle / speed);
      if (ranges) [best, time, high] = [ranges, middle / speed, middle];
      else low = middle + 1;
    }
  }
  return best;
};

const noRoom: StageRoom = { speed: 0, freeBytes: 0 };

/** Each stage takes, in order, as many layers as time and memory allow, and leaves one to each that follows. */
const fill = (
  rooms: readonly StageRoom[],
  layers: number,
  bytesOf: StageBytes,
  time: number,
): LayerRange[] | undefined => {
  const counts: number[] = [];
  let placed = 0;
  for (let stage = 0; stage < rooms.length; stage += 1) {
    const { speed, freeBytes } = rooms[stage] ?? noRoom;
    const firstLayer = placed;
    const left = layers - placed - (rooms.length - stage - 1);
    const inTime = Math.min(left, Math.floor(time * speed * (1 + 1e-9)));
    const count = mostLayers(
      inTime,
      (most) => bytesOf(stage, { firstLayer, endLayer: firstLayer + most }) <= freeBytes,
    );
    if (count < 1) return undefined;
    counts.push(count);
    placed += count;
  }
  return placed === layers ? rangesOf(counts) : undefined;
};

/** The largest count up to `most` for which it holds, 0 for none; holds for all below one for which it does. */
const mostLayers = (most: number, holds: (count: number) => boolean): number => {
  if (holds(most)) return most;
  let low = 0;
  let high = most - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (holds(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
};
