import { readFileSync, writeFileSync } from 'node:fs';
import { parseDocument } from 'yaml';
import type { Catalogue } from '../../src/catalogue/facts.ts';
import type { PerformanceFacts } from '../../src/catalogue/performance-facts.ts';
import { compare } from './compare.ts';
import type { Comparison, Sample } from './compare.ts';
import { enginesOf, fit, weightsOf } from './fit.ts';
import { parametersOf } from './parameters.ts';
import { groupOf } from './statistics.ts';
import type { Grouping } from './statistics.ts';

/** Each sample predicted with parameters that were fitted without its group. */
export const comparedWithoutGroup = (
  samples: readonly Sample[],
  { performance }: Catalogue,
  grouping: Grouping,
): Comparison[] => {
  const groups = [...new Set(samples.map((sample) => groupOf(sample, grouping)))];
  return groups.flatMap((group) => {
    const isInGroup = (sample: Sample) => groupOf(sample, grouping) === group;
    const fitted = fit(
      samples.filter((sample) => !isInGroup(sample)),
      performance,
    );
    return samples.filter(isInGroup).map((sample) => compare(sample, fitted));
  });
};

const file = new URL('../../src/catalogue/data/performance.yaml', import.meta.url);

/** Fits, measures the bands, and writes both to the catalogue's file. */
export const writeFit = (samples: readonly Sample[], catalogue: Catalogue): PerformanceFacts => {
  const fitted = fit(samples, catalogue.performance);
  const document = parseDocument(readFileSync(file, 'utf8'));
  const set = (path: string, value: unknown) =>
    document.setIn(
      ['performance', ...path.split('.').map((key) => (/^\d+$/.test(key) ? Number(key) : key))],
      value,
    );
  for (const { path } of parametersOf(catalogue.performance, enginesOf(samples))) {
    set(path, rounded(valueAt(fitted, path)));
  }
  const strangers = (['family', 'chip', 'source'] as const).flatMap((grouping) =>
    comparedWithoutGroup(samples, catalogue, grouping),
  );
  const own = samples.map((sample) => compare(sample, fitted));
  for (const [index, { names }] of fitted.engines.entries()) {
    const isOurs = ({ measurement, quantity }: Sample) =>
      quantity === 'decode' && names.includes(measurement.engine ?? '');
    if (!own.some(isOurs)) continue;
    set(`engines.${index}.band.known`, bandOf(own.filter(isOurs)));
    set(`engines.${index}.band.unknown`, bandOf(strangers.filter(isOurs)));
    const families = new Set(samples.filter(isOurs).map(({ model }) => model.architecture));
    set(`engines.${index}.measuredArchitectures`, [...families].toSorted());
  }
  writeFileSync(file, document.toString({ lineWidth: 100, flowCollectionPadding: false }));
  return fitted;
};

/** The half-width that holds eight in ten, where a source with many rows does not count for all of them. */
const bandOf = (comparisons: readonly Comparison[]): number => {
  const weights = weightsOf(comparisons);
  const weighted = comparisons
    .map(({ error }, at) => ({ error: Math.abs(error), weight: (weights[at] ?? 0) ** 2 }))
    .toSorted((a, b) => a.error - b.error);
  let left = 0.8 * weighted.reduce((sum, { weight }) => sum + weight, 0);
  const last = weighted.find(({ weight }) => (left -= weight) <= 0);
  return rounded(last?.error ?? 0);
};

const valueAt = (facts: PerformanceFacts, path: string): number =>
  path
    .split('.')
    .reduce<unknown>((inner, key) => (inner as Record<string, unknown>)[key], facts) as number;

const rounded = (value: number): number => Number(value.toPrecision(3));
