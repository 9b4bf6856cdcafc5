import type { Comparison, Sample } from './compare.ts';

/** Of the absolute errors of a set of comparisons. */
export interface Summary {
  count: number;
  median: number;
  ninetieth: number;
  worst: number;
  /** Share within 30 % and within 35 %. */
  within30: number;
  within35: number;
}

export const summarise = (comparisons: readonly Comparison[]): Summary => {
  const errors = comparisons.map(({ error }) => Math.abs(error)).toSorted((a, b) => a - b);
  const within = (limit: number) =>
    errors.filter((error) => error <= limit).length / Math.max(1, errors.length);
  return {
    count: errors.length,
    median: quantile(errors, 0.5),
    ninetieth: quantile(errors, 0.9),
    worst: errors.at(-1) ?? 0,
    within30: within(0.3),
    within35: within(0.35),
  };
};

/** Of ascending values, in proportion between two of them. */
const quantile = (ascending: readonly number[], share: number): number => {
  const at = share * Math.max(0, ascending.length - 1);
  const [low, high] = [ascending[Math.floor(at)] ?? 0, ascending[Math.ceil(at)] ?? 0];
  return low + (high - low) * (at - Math.floor(at));
};

export const groupings = ['engine', 'nodes', 'family', 'chip', 'source'] as const;
export type Grouping = (typeof groupings)[number];

export const groupOf = ({ measurement, model }: Sample, grouping: Grouping): string => {
  if (grouping === 'engine') return measurement.engine ?? '';
  if (grouping === 'nodes') return String(measurement.nodes ?? 1);
  if (grouping === 'family') return model.architecture;
  return grouping === 'chip' ? measurement.chip : measurement.source;
};
