import type { EnginePerformance } from '../../catalogue/performance-facts.ts';
import type { Prediction } from '../prediction.ts';
import { confidenceBand } from './confidence.ts';
import { stepTime, totalMs } from './decode.ts';
import { allReduceMicroseconds } from './exchange.ts';
import type { PerformanceOption } from './option.ts';
import { decodeWatts, usdPerMillionTokens } from './power.ts';
import { prefillMs, requestMs } from './prefill.ts';

/**
 * How an option is expected to perform; undefined for an engine of which no measurement is known. Pure, and cheap
 * enough to be called for thousands of options: microseconds once a model's sums are known.
 */
export const predict = (option: PerformanceOption): Prediction | undefined => {
  const kernels = kernelsOf(option);
  if (!kernels) return undefined;
  const { link, tensorSize, promptTokens, generatedTokens, correction = 1 } = option;
  const context = promptTokens + generatedTokens / 2;
  const step = stepTime(option, kernels, { rows: 1, context });
  const alone = 1e3 / totalMs(step);
  const decodeTokensPerSecond = correction * alone;
  const aggregateTokensPerSecond = correction * aggregate(option, kernels, { context, alone });
  const interconnectShare = step.exchangeMs / totalMs(step);
  const powerWatts = decodeWatts(option, interconnectShare);
  const prefill = prefillMs(option, kernels);
  const band = confidenceBand(option, kernels);
  const usd = usdPerMillionTokens(option, option.performance.costs, {
    watts: powerWatts,
    tokensPerSecond: aggregateTokensPerSecond,
  });
  return {
    promptTokens,
    generatedTokens,
    decodeTokensPerSecond,
    decodeTokensPerSecondLow: decodeTokensPerSecond * band.low,
    decodeTokensPerSecondHigh: decodeTokensPerSecond * band.high,
    aggregateTokensPerSecond,
    prefillTokensPerSecond: (promptTokens * 1e3) / prefill,
    timeToFirstTokenMilliseconds: requestMs(option, kernels) + prefill,
    allReduceMicroseconds: allReduceMicroseconds(link, tensorSize),
    interconnectShare,
    powerWatts,
    joulesPerToken: powerWatts / decodeTokensPerSecond,
    ...(usd === undefined ? {} : { usdPerMillionTokens: usd }),
    breakdown: step,
  };
};

/**
 * Of all requests in flight together. Stages work on different requests, so with as many requests as stages all
 * are busy; an engine that does not batch serves one after the other.
 */
const aggregate = (
  option: PerformanceOption,
  kernels: EnginePerformance,
  { context, alone }: { context: number; alone: number },
): number => {
  const { engine, stages } = option;
  const concurrency = engine.batches ? option.concurrency : 1;
  if (concurrency <= 1) return alone;
  const parallel = Math.min(stages.length, concurrency);
  const rows = Math.max(1, Math.round(concurrency / parallel));
  const step = totalMs(stepTime(option, kernels, { rows, context }));
  // Where batches do not pay, requests take turns.
  return Math.max(alone, (rows * parallel * 1e3) / step);
};

const kernelsOf = ({ engine, performance }: PerformanceOption): EnginePerformance | undefined =>
  performance.engines.findLast(({ names }) => names.includes(engine.name));
