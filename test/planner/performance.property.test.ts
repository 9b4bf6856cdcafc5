import assert from 'node:assert/strict';
import { it } from 'node:test';
import * as fc from '../support/fast-check.ts';
import { loadCatalogue } from '../../src/catalogue/load-catalogue.ts';
import { predict } from '../../src/planner/performance/predict.ts';
import type { PerformanceOption } from '../../src/planner/performance/option.ts';
import { modelConfigs } from '../../scripts/calibration/measurements.ts';
import { optionOf } from '../../scripts/calibration/option.ts';

const catalogue = loadCatalogue();
const models = Object.keys(modelConfigs());

const options = fc.record({
  model: fc.constantFrom(...models),
  engine: fc.constantFrom('MLX', 'EXO', 'LlamaCpp', 'Ollama', 'MLCLLM'),
  chip: fc.constantFrom(...catalogue.chips),
  nodes: fc.constantFrom(1, 2, 4, 8),
  cut: fc.constantFrom('Tensor', 'Pipeline'),
  link: fc.constantFrom(...catalogue.links),
  bits: fc.constantFrom(4.5, 8.5, 16),
  promptTokens: fc.integer({ min: 1, max: 100_000 }),
  concurrency: fc.integer({ min: 1, max: 64 }),
});

const toOption = ({
  chip,
  link,
  ...rest
}: typeof options extends fc.Arbitrary<infer T> ? T : never) =>
  optionOf(
    {
      id: '',
      source: '',
      ...rest,
      chip: chip.chip,
      gpuCores: chip.gpuCores,
      link: [link.type, link.mode, link.linkGbps],
    },
    catalogue,
  );

const predicted = (option: PerformanceOption) => {
  const prediction = predict(option);
  assert.ok(prediction);
  return prediction;
};
/** Rounding of a sum of sixty layers. */
const slack = 1 + 1e-9;

const always = (check: (option: PerformanceOption) => void) =>
  fc.assert(
    fc.property(options, (given) => check(toOption(given))),
    { numRuns: 300 },
  );

it('gives figures that are positive, finite and in their own bounds, for every model, chip and cut', () =>
  always((option) => {
    const { breakdown, interconnectShare, ...figures } = predicted(option);
    for (const value of [...Object.values(breakdown), ...Object.values(figures)]) {
      assert.ok(Number.isFinite(value) && value >= 0, String(value));
    }
    assert.ok(interconnectShare >= 0 && interconnectShare < 1);
    assert.ok(figures.decodeTokensPerSecondLow < figures.decodeTokensPerSecond);
    assert.ok(figures.decodeTokensPerSecondHigh > figures.decodeTokensPerSecond);
    assert.ok(figures.aggregateTokensPerSecond * slack >= figures.decodeTokensPerSecond);
  }));

it('is never faster with a longer prompt, never slower with a better chip', () =>
  always((option) => {
    const { decodeTokensPerSecond } = predicted(option);
    const longer = predicted({ ...option, promptTokens: option.promptTokens * 2 });
    assert.ok(longer.decodeTokensPerSecond <= decodeTokensPerSecond * slack);
    assert.ok(
      longer.timeToFirstTokenMilliseconds * slack >= predicted(option).timeToFirstTokenMilliseconds,
    );
    const stages = option.stages.map((stage) => ({
      ...stage,
      ranks: stage.ranks.map(({ chip }) => ({
        chip: {
          ...chip,
          memoryBandwidthGBps: chip.memoryBandwidthGBps * 1.5,
          fp16TFLOPS: chip.fp16TFLOPS * 1.5,
        },
      })),
    }));
    assert.ok(
      predicted({ ...option, stages }).decodeTokensPerSecond * slack >= decodeTokensPerSecond,
    );
  }));
