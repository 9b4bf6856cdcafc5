import type { Catalogue } from '../../src/catalogue/facts.ts';
import type { ModelProfile } from '../../src/catalogue/model-profile.ts';
import type { PerformanceFacts } from '../../src/catalogue/performance-facts.ts';
import type { PerformanceOption } from '../../src/planner/performance/option.ts';
import { predict } from '../../src/planner/performance/predict.ts';
import type { Measurement } from './measurements.ts';
import { optionOf } from './option.ts';

export const quantities = ['decode', 'prefill', 'ttft', 'watts'] as const;
export type Quantity = (typeof quantities)[number];

/** One measured figure that can be predicted. */
export interface Sample {
  measurement: Measurement;
  quantity: Quantity;
  measured: number;
  option: PerformanceOption;
  model: ModelProfile;
}

export interface Comparison extends Sample {
  predicted: number;
  /** predicted ÷ measured − 1. */
  error: number;
}

/** Every figure of the rows that can be compared. */
export const samplesOf = (rows: readonly Measurement[], catalogue: Catalogue): Sample[] =>
  rows
    .filter(({ unusable }) => unusable === undefined)
    .flatMap((measurement) => {
      const option = optionOf(measurement, catalogue);
      const values = {
        decode: measurement.decode,
        // Of a prompt of a few tokens, the rate says what a request costs, not how fast it is read.
        prefill: (measurement.promptTokens ?? 0) < 100 ? undefined : measurement.prefill,
        ttft: measurement.ttftMs,
        watts: measurement.watts,
      };
      return quantities.flatMap((quantity) => {
        const measured = values[quantity];
        return measured === undefined
          ? []
          : [{ measurement, quantity, measured, option, model: option.model }];
      });
    });

export const compare = (sample: Sample, performance: PerformanceFacts): Comparison => {
  const predicted = predicts(sample, performance);
  return { ...sample, predicted, error: predicted / sample.measured - 1 };
};

/** With other parameters than the catalogue's, if need be. */
export const predicts = (
  { measurement, quantity, option }: Sample,
  performance: PerformanceFacts,
): number => {
  const emptyCache = quantity === 'decode' && measurement.emptyCache === true;
  const prediction = predict({
    ...option,
    performance,
    ...(emptyCache ? { promptTokens: 0 } : {}),
  });
  if (!prediction) throw new Error(`no prediction for ${measurement.id}`);
  const pauseMs = measurement.afterPause ? (prediction.wiringMilliseconds ?? 0) : 0;
  if (quantity === 'prefill') {
    const { promptTokens, prefillTokensPerSecond } = prediction;
    return (promptTokens * 1e3) / ((promptTokens * 1e3) / prefillTokensPerSecond + pauseMs);
  }
  if (quantity === 'ttft') return prediction.timeToFirstTokenMilliseconds + pauseMs;
  if (quantity === 'watts') return prediction.powerWatts;
  return measurement.concurrency === undefined
    ? prediction.decodeTokensPerSecond
    : prediction.aggregateTokensPerSecond;
};
