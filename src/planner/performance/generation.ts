import type { ChipFacts } from '../../catalogue/facts.ts';
import type { PerformanceFacts } from '../../catalogue/performance-facts.ts';

/** 4 for an "M4 Max"; the newest for chips that are not named like that. */
export const generationOf = (chip: ChipFacts): number => {
  const known = generations.get(chip);
  if (known !== undefined) return known;
  const generation = Number(/^M(\d+)/.exec(chip.chip)?.[1] ?? Number.POSITIVE_INFINITY);
  generations.set(chip, generation);
  return generation;
};

/** A chip's name does not change, and search asks very often. */
const generations = new WeakMap<ChipFacts, number>();

/** How long launches take beside M4; generations after the last that is known are taken for it. */
export const launchFactor = (chip: ChipFacts, { generations }: PerformanceFacts): number => {
  const generation = generationOf(chip);
  let best: { generation: number; launchFactor: number } | undefined;
  for (const each of generations) {
    if (each.generation <= generation && each.generation > (best?.generation ?? 0)) best = each;
  }
  return best?.launchFactor ?? 1;
};
