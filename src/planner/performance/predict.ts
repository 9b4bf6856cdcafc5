import type { EnginePerformance } from '../../catalogue/performance-facts.ts';
import type { Prediction } from '../prediction.ts';
import { confidenceBand } from './confidence.ts';
import { stepTime, totalMs, waitingMs } from './decode.ts';
import { allReduceMicroseconds } from './exchange.ts';
import type { PerformanceOption } from './option.ts';
import { decodeWatts, usdPerMillionTokens } from './power.ts';
import { prefillMs, requestMs, wiringMs } from './prefill.ts';

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
  const wiring = wiringMs(option, kernels);
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
    ...(wiring === undefined ? {} : { wiringMilliseconds: wiring }),
    allReduceMicroseconds: allReduceMicroseconds(link, tensorSize),
    ...(link?.mode === 'RDMA' && option.engine.fastSynchVariable !== undefined
      ? { synchronizationMilliseconds: waitingMs(option, kernels) }
      : {}),
    interconnectShare,
    powerWatts,
    joulesPerToken: powerWatts / decodeTokensPerSecond,
    ...(usd === undefined ? {} : { usdPerMillionTokens: usd }),
    ...(option.correction === undefined ? {} : { correction }),
    breakdown: step,
  };
};

/**
 * Of all requests in flight together: one batch that goes through the stages one after the other, as MLX and EXO
 * do it (16 requests over four stages: 2.7 times one request, exo issue 2295). An engine that does not batch
 * serves one after the other; so do all where batches do not pay.
 */
const aggregate = (
  option: PerformanceOption,
  kernels: EnginePerformance,
  { context, alone }: { context: number; alone: number },
): number => {
  const { engine, concurrency } = option;
  if (!engine.batches || concurrency <= 1) return alone;
  const step = totalMs(stepTime(option, kernels, { rows: concurrency, context }));
  return Math.max(alone, (concurrency * 1e3) / step);
};

const kernelsOf = ({ engine, performance }: PerformanceOption): EnginePerformance | undefined =>
  performance.engines.findLast(({ names }) => names.includes(engine.name));
