import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadCatalogue } from '../../src/catalogue/load-catalogue.ts';
import { compare, samplesOf } from '../../scripts/calibration/compare.ts';
import type { Quantity } from '../../scripts/calibration/compare.ts';
import { calibration, further, heldOut } from '../../scripts/calibration/measurements.ts';
import { misordered, seriesOf } from '../../scripts/calibration/series.ts';
import { summarise } from '../../scripts/calibration/statistics.ts';

const catalogue = loadCatalogue();
const all = [...calibration(), ...further(), ...heldOut()];
const comparisonsOf = (rows: ReturnType<typeof calibration>) =>
  samplesOf(rows, catalogue).map((sample) => compare(sample, catalogue.performance));
const sets = {
  'the calibration': comparisonsOf(calibration()),
  'what was found later': comparisonsOf(further()),
  'what was never fitted': comparisonsOf(heldOut()),
};
const summary = (set: keyof typeof sets, quantity: Quantity) =>
  summarise(sets[set].filter((comparison) => comparison.quantity === quantity));

describe('predictions beside published measurements', () => {
  for (const set of Object.keys(sets) as (keyof typeof sets)[]) {
    it(`have a median error of at most 12 % for decoding ${set}, nine in ten within 30 %`, () => {
      const { count, median, within30 } = summary(set, 'decode');
      assert.ok(count > 80, `${count} rows`);
      assert.ok(median <= 0.12, `median ${median}`);
      assert.ok(within30 >= 0.9, `within 30 %: ${within30}`);
    });

    it(`are within 35 % for nineteen in twenty of the prefill rates of ${set}, half within 12 %`, () => {
      const { count, median, within35 } = summary(set, 'prefill');
      assert.ok(count > 25, `${count} rows`);
      assert.ok(median <= 0.12, `median ${median}`);
      assert.ok(within35 >= 0.95, `within 35 %: ${within35}`);
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
  const series = seriesOf(all, catalogue);

  it('is known of many published series', () => {
    assert.ok(series.length > 50, `${series.length} series`);
  });

  /** Why a published order is not a property of the cut. */
  const known: Readonly<Record<string, string>> = {
    'geer-dsv31-rpc-n1': 'one node of 512 GB was short of memory: 14.8 where its sibling has 20.2',
  };
  /** Measured rates that lie closer are equal. */
  const margin = 0.06;
  for (const { title, rows } of series) {
    it(`is as measured: ${title}`, () => {
      const compared = rows.filter(({ measurement: { id } }) => known[id] === undefined);
      assert.deepEqual(misordered({ title, rows: compared }, margin), []);
    });
  }
});
