import type { PerformanceFacts } from '../../src/catalogue/performance-facts.ts';

/** One number of PerformanceFacts that the fit may change. */
export interface Parameter {
  /** "engines.0.decode.bandwidthShare.oneDie". */
  path: string;
  /** What it would be taken for without any measurement; the fit is held weakly to it. */
  prior: number;
  largest: number;
}

/**
 * By the end of the path. Round numbers that say what one would expect: nothing here comes from the fit, so that
 * leaving measurements out of it really leaves them out.
 */
const priors: readonly [pattern: RegExp, prior: number, largest?: number][] = [
  [/decode\.bandwidthShare\.oneDie$/, 0.9, 0.97],
  [/decode\.bandwidthShare\.twoDies$/, 0.85, 0.97],
  [/decode\.operationsPerWeight\./, 2],
  [/decode\.layerMicroseconds\.base$/, 60],
  [/decode\.layerMicroseconds\.experts$/, 60],
  [/decode\.layerMicroseconds\./, 30],
  [/decode\.tokenMicroseconds$/, 100],
  [/decode\.twoDieFactor$/, 1.1],
  [/decode\.cacheReads\.attention$/, 1.5],
  [/decode\.cacheReads\.sharingHead$/, 0.15],
  [/decode\.cacheReads\.latentAttention$/, 3],
  [/decode\.synchronizationMicroseconds$/, 100],
  [/decode\.ownKernelMicroseconds\./, 200],
  [/decode\.batchShare$/, 0.15, 0.9],
  [/decode\.layerFactors\./, 2],
  [/prefill\.computeShare\./, 0.6, 0.97],
  [/prefill\.expertTileRows$/, 32],
  [/prefill\.matmulUnitFactor\.matrices$/, 2.5],
  [/prefill\.matmulUnitFactor\.attention$/, 1.5],
  [/prefill\.bfloat16Share$/, 0.7, 1],
  [/prefill\.batchMilliseconds$/, 5],
  [/prefill\.requestMilliseconds$/, 20],
  [/prefill\.vocabularyMicroseconds$/, 0.3],
  [/prefill\.rankMilliseconds$/, 50],
  [/generations\.\d+\.launchFactor$/, 1.3],
];

/**
 * Those that are fitted: all that have a prior, but for zeros, the reference generation, and engines that are none
 * of `engines`.
 */
export const parametersOf = (
  facts: PerformanceFacts,
  engines: ReadonlySet<string | undefined>,
): Parameter[] =>
  numbersOf(facts, '').flatMap(([path, value]) => {
    const index = /^engines\.(\d+)\./.exec(path)?.[1];
    const names = index === undefined ? undefined : facts.engines[Number(index)]?.names;
    if (names && !names.some((name) => engines.has(name))) return [];
    const prior = priors.find(([pattern]) => pattern.test(path));
    const isFixed = value === 0 || (value === 1 && /bfloat16Share|launchFactor/.test(path));
    return prior && !isFixed
      ? [{ path, prior: prior[1], largest: prior[2] ?? Number.POSITIVE_INFINITY }]
      : [];
  });

const numbersOf = (value: unknown, path: string): [string, number][] => {
  if (typeof value === 'number') return [[path, value]];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    numbersOf(inner, path === '' ? key : `${path}.${key}`),
  );
};

/** A copy with these values in place of its own. */
export const withValues = (
  facts: PerformanceFacts,
  parameters: readonly Parameter[],
  values: readonly number[],
): PerformanceFacts => {
  const copy = structuredClone(facts);
  for (const [at, { path }] of parameters.entries()) {
    const keys = path.split('.');
    const last = keys.pop() ?? '';
    let inner = copy as unknown as Record<string, unknown>;
    for (const key of keys) inner = inner[key] as Record<string, unknown>;
    inner[last] = values[at];
  }
  return copy;
};
