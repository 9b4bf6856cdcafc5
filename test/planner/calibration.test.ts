import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadCatalogue } from '../../src/catalogue/load-catalogue.ts';
import { predict } from '../../src/planner/performance/predict.ts';
import { compare, samplesOf } from '../../scripts/calibration/compare.ts';
import type { Quantity } from '../../scripts/calibration/compare.ts';
import { calibration, further, heldOut } from '../../scripts/calibration/measurements.ts';
import { optionOf } from '../../scripts/calibration/option.ts';
import { summarise } from '../../scripts/calibration/statistics.ts';

const catalogue = loadCatalogue();
const all = [...calibration(), ...further(), ...heldOut()];
const comparisonsOf = (rows: ReturnType<typeof calibration>) =>
  samplesOf(rows, catalogue).map((sample) => compare(sample, catalogue.performance));
const sets = {
  'the calibration': comparisonsOf(calibration()),
  'what was never fitted': comparisonsOf(heldOut()),
};
const summary = (set: keyof typeof sets, quantity: Quantity) =>
  summarise(sets[set].filter((comparison) => comparison.quantity === quantity));

/** Predicted decode rates of rows, by id, whether or not their own rate can be compared. */
const decodeOf = (...ids: string[]): number[] =>
  ids.map((id) => {
    const row = all.find((each) => each.id === id);
    assert.ok(row, id);
    return predict(optionOf(row, catalogue))?.decodeTokensPerSecond ?? 0;
  });
const rising = (rates: number[]) =>
  rates.every((rate, at) => at === 0 || rate > (rates[at - 1] ?? 0));

describe('predictions beside published measurements', () => {
  for (const set of Object.keys(sets) as (keyof typeof sets)[]) {
    it(`have a median error of at most 12 % for decoding ${set}, nine in ten within 30 %`, () => {
      const { count, median, within30 } = summary(set, 'decode');
      assert.ok(count > 80, `${count} rows`);
      assert.ok(median <= 0.12, `median ${median}`);
      assert.ok(within30 >= 0.9, `within 30 %: ${within30}`);
    });

    it(`are within 35 % for seven in eight of the prefill rates of ${set}, half within 12 %`, () => {
      const { count, median, within35 } = summary(set, 'prefill');
      assert.ok(count > 25, `${count} rows`);
      assert.ok(median <= 0.12, `median ${median}`);
      assert.ok(within35 >= 7 / 8, `within 35 %: ${within35}`);
    });
  }

  it('are within 35 % for five in six of the times to the first token', () => {
    const { count, median, within35 } = summary('the calibration', 'ttft');
    assert.ok(count > 25, `${count} rows`);
    assert.ok(median <= 0.2, `median ${median}`);
    assert.ok(within35 >= 5 / 6, `within 35 %: ${within35}`);
  });

  it('say of every row either a figure or why not', () => {
    const compared = new Set(samplesOf(all, catalogue).map(({ measurement }) => measurement.id));
    const silent = all.filter(({ id, unusable }) => unusable === undefined && !compared.has(id));
    assert.deepEqual(
      silent.map(({ id }) => id),
      [],
    );
    assert.equal(calibration().length, 306);
  });
});

describe('the order of one, two and four nodes', () => {
  it('rises over RDMA with tensor parallelism, for dense models and for experts', () => {
    assert.ok(
      rising(decodeOf('geer-qwen235-exo-n1', 'geer-qwen235-exo-n2', 'geer-qwen235-exo-n4')),
    );
    assert.ok(rising(decodeOf('geer-dsv31-exo-n1', 'geer-dsv31-exo-n2', 'geer-dsv31-exo-n4')));
    assert.ok(rising(decodeOf('jakkuh-l33-70b-n1', 'jakkuh-l33-70b-n4')));
    assert.ok(rising(decodeOf('mlxlm698-1', 'mlxlm698-2')));
    assert.ok(rising(decodeOf('exo2070-oss120-n1', 'exo2070-mlx-n2')));
  });

  it('falls with stages over TCP', () => {
    const stages = ['geer-qwen235-rpc-n4', 'geer-qwen235-rpc-n2', 'geer-qwen235-rpc-n1'];
    assert.ok(rising(decodeOf(...stages)));
  });
});
