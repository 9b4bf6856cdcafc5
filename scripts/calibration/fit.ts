import type { PerformanceFacts } from '../../src/catalogue/performance-facts.ts';
import { predicts } from './compare.ts';
import type { Quantity, Sample } from './compare.ts';
import { parametersOf, withValues } from './parameters.ts';

/** Scatter that one expects between two publishers of the same figure, as a share. */
const scatter: Readonly<Record<Quantity, number>> = {
  decode: 0.08,
  prefill: 0.12,
  ttft: 0.2,
  watts: Number.POSITIVE_INFINITY,
};
/** The first token of a long prompt is as late as the prompt is read slowly: what servers add does not count. */
const scatterOf = ({ quantity, measurement: { promptTokens = 0 } }: Sample): number =>
  scatter[quantity === 'ttft' && promptTokens >= longPrompt ? 'prefill' : quantity];

const longPrompt = 1000;

/** How far a parameter may stray from its prior for one unit of cost: a factor of 2. */
const priorWidth = Math.log(2);
const maxRounds = 40;

/**
 * The parameters that predict the samples best: least squares of log(predicted ÷ measured) over the scatter, with
 * the weight of outliers reduced (soft L1), by Levenberg and Marquardt over the logarithms of the parameters.
 * A source with many rows does not count for all of them.
 */
export const fit = (samples: readonly Sample[], facts: PerformanceFacts): PerformanceFacts => {
  const used = samples.filter(({ quantity }) => quantity !== 'watts');
  const parameters = parametersOf(facts, enginesOf(used));
  const weights = weightsOf(used);
  const factsAt = (logs: readonly number[]) =>
    withValues(
      facts,
      parameters,
      logs.map((log, at) => Math.min(Math.exp(log), parameters[at]?.largest ?? log)),
    );
  const start = parameters.map(({ prior }) => Math.log(prior));
  const residualsAt = (logs: readonly number[]): number[] => {
    const at = factsAt(logs);
    return [
      ...used.map((sample, index) => {
        const deviation = Math.log(predicts(sample, at) / sample.measured);
        return (deviation / scatterOf(sample)) * (weights[index] ?? 1);
      }),
      ...logs.map((log, index) => (log - (start[index] ?? 0)) / priorWidth),
    ];
  };
  return factsAt(minimise(start, residualsAt));
};

/** The engines that samples are of. */
export const enginesOf = (samples: readonly Sample[]): Set<string | undefined> =>
  new Set(samples.map(({ measurement }) => measurement.engine));

/** 1 for a source's only row, less for each of many. */
export const weightsOf = (samples: readonly Sample[]): number[] => {
  const sizes = new Map<string, number>();
  for (const sample of samples) sizes.set(groupOf(sample), (sizes.get(groupOf(sample)) ?? 0) + 1);
  return samples.map((sample) => Math.sqrt(6 / (5 + (sizes.get(groupOf(sample)) ?? 1))));
};

const groupOf = ({ measurement, quantity }: Sample): string =>
  `${measurement.source} ${measurement.chip} ${quantity}`;

type Residuals = (at: readonly number[]) => number[];

const minimise = (start: readonly number[], residualsAt: Residuals): number[] => {
  let point = [...start];
  let residuals = residualsAt(point);
  let cost = softCost(residuals);
  let damping = 0.1;
  for (let round = 0; round < maxRounds && damping < 1e6; round += 1) {
    const { normal, gradient } = linearise(point, residuals, residualsAt);
    let isBetter = false;
    while (!isBetter && damping < 1e6) {
      const step = solve(normal, gradient, damping);
      const next = point.map((value, at) => value - limited(step[at] ?? 0));
      const nextResiduals = residualsAt(next);
      const nextCost = softCost(nextResiduals);
      isBetter = nextCost < cost;
      if (isBetter) {
        if (cost - nextCost < 1e-4 * cost) return next;
        [point, residuals, cost] = [next, nextResiduals, nextCost];
        damping = Math.max(1e-4, damping / 4);
      } else {
        damping *= 4;
      }
    }
  }
  return point;
};

const limited = (step: number): number => Math.min(0.7, Math.max(-0.7, step));

const softCost = (residuals: readonly number[]): number =>
  residuals.reduce((sum, value) => sum + 2 * (Math.sqrt(1 + value * value) - 1), 0);

/** Normal equations with each residual weighted as the soft cost does. */
const linearise = (point: readonly number[], residuals: readonly number[], at: Residuals) => {
  const width = 1e-4;
  const columns = point.map((value, index) =>
    at(point.with(index, value + width)).map(
      (moved, row) => (moved - (residuals[row] ?? 0)) / width,
    ),
  );
  const weights = residuals.map((value) => 1 / Math.sqrt(1 + value * value));
  const product = (a: readonly number[], b: readonly number[]) =>
    a.reduce((sum, value, row) => sum + value * (b[row] ?? 0) * (weights[row] ?? 0), 0);
  return {
    normal: columns.map((a) => columns.map((b) => product(a, b))),
    gradient: columns.map((column) => product(column, residuals)),
  };
};

/** (normal + damping × its diagonal) step = gradient, by Gaussian elimination with pivots. */
const solve = (
  normal: readonly (readonly number[])[],
  gradient: readonly number[],
  damping: number,
): number[] => {
  const rows = normal.map((row, at) => [
    ...row.map((value, column) => (column === at ? value * (1 + damping) + 1e-9 : value)),
    gradient[at] ?? 0,
  ]);
  const size = rows.length;
  for (let column = 0; column < size; column += 1) {
    let pivot = column;
    for (let row = column + 1; row < size; row += 1) {
      if (entry(rows, row, column) ** 2 > entry(rows, pivot, column) ** 2) pivot = row;
    }
    [rows[column], rows[pivot]] = [rows[pivot] ?? [], rows[column] ?? []];
    for (let row = column + 1; row < size; row += 1) {
      const factor = entry(rows, row, column) / entry(rows, column, column);
      if (factor === 0) continue;
      rows[row] = (rows[row] ?? []).map((value, at) => value - factor * entry(rows, column, at));
    }
  }
  const step = Array.from({ length: size }, () => 0);
  for (let row = size - 1; row >= 0; row -= 1) {
    let value = entry(rows, row, size);
    for (let at = row + 1; at < size; at += 1) value -= entry(rows, row, at) * (step[at] ?? 0);
    step[row] = value / entry(rows, row, row);
  }
  return step;
};

const entry = (rows: readonly (readonly number[])[], row: number, column: number): number =>
  rows[row]?.[column] ?? 0;
