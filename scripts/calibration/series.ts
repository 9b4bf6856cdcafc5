import type { Catalogue } from '../../src/catalogue/facts.ts';
import { predict } from '../../src/planner/performance/predict.ts';
import type { Measurement } from './measurements.ts';
import { optionOf } from './option.ts';

/** One model on several numbers of nodes, or cut in several ways, measured by one publisher under one load. */
export interface Series {
  title: string;
  rows: { measurement: Measurement; measured: number; predicted: number }[];
}

/**
 * All of them in these rows. Rows whose own rate cannot be compared, because a width is not stated for instance,
 * have an order nevertheless; what was measured in a bug report has none.
 */
export const seriesOf = (rows: readonly Measurement[], catalogue: Catalogue): Series[] => {
  const usable = rows.filter(
    ({ decode, unusable = '', concurrency = 1 }) =>
      decode !== undefined && concurrency === 1 && (unusable === '' || /width/.test(unusable)),
  );
  return [...Map.groupBy(usable, titleOf)].flatMap(([title, members]) =>
    new Set(members.map(({ nodes = 1, cut }) => `${nodes} ${cut}`)).size < 2
      ? []
      : [{ title, rows: members.map((measurement) => compared(measurement, catalogue)) }],
  );
};

const compared = (measurement: Measurement, catalogue: Catalogue): Series['rows'][number] => ({
  measurement,
  measured: measurement.decode ?? 0,
  predicted: predict(optionOf(measurement, catalogue))?.decodeTokensPerSecond ?? 0,
});

const titleOf = ({ source, engine, model, bits, expertBits, promptTokens, chip }: Measurement) =>
  [
    engine,
    model,
    `${expertBits ?? bits} bits`,
    chip,
    `${promptTokens ?? 'short'} tokens`,
    source.replace(/ \(.*/, ''),
  ].join(', ');

/**
 * Pairs of which one was measured faster than the other by more than `margin`, and was not said to be. Where ranks
 * waited for events, how long differs from run to run (the same four nodes gave 18.4 tokens a second after 1,000
 * tokens and 20.8 after 16,000), so of two such rates only a third more counts.
 */
export const misordered = ({ rows }: Series, margin: number): [string, string][] =>
  rows.flatMap((faster) =>
    rows
      .filter((slower) => {
        const isUnsteady = [faster, slower].every(
          ({ measurement: { fastSynch } }) => fastSynch === false,
        );
        const least = slower.measured * (1 + (isUnsteady ? unsteadyMargin : margin));
        return faster.measured > least && faster.predicted <= slower.predicted;
      })
      .map((slower): [string, string] => [faster.measurement.id, slower.measurement.id]),
  );

const unsteadyMargin = 1 / 3;
