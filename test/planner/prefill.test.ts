import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadCatalogue } from '../../src/catalogue/load-catalogue.ts';
import type { ModelProfile } from '../../src/catalogue/model-profile.ts';
import { profileOf } from '../../src/catalogue/profile.ts';
import { partitionLayers } from '../../src/planner/partition.ts';
import { predict } from '../../src/planner/performance/predict.ts';
import type { Prediction } from '../../src/planner/prediction.ts';
import { modelConfigs } from '../../scripts/calibration/measurements.ts';

const catalogue = loadCatalogue();
const chip = catalogue.chips.find((each) => each.chip === 'M5 Max' && each.gpuCores === 40);
assert.ok(chip);

const on = (engineName: string, model: ModelProfile, tensorSize = 1): Prediction => {
  const engine = catalogue.engines.find(({ name }) => name === engineName);
  const link = catalogue.links.find(({ mode }) => mode === 'RDMA');
  assert.ok(engine && link);
  const layers = { firstLayer: 0, endLayer: model.layers.length };
  const predicted = predict({
    model,
    engine,
    performance: catalogue.performance,
    tensorSize,
    stages: [{ layers, ranks: Array.from({ length: tensorSize }, () => ({ chip })) }],
    ...(tensorSize > 1 ? { link } : {}),
    promptTokens: 2048,
    generatedTokens: 128,
    concurrency: 1,
  });
  assert.ok(predicted);
  return predicted;
};

const configOf = (name: string) => {
  const config = modelConfigs()[name];
  assert.ok(config);
  return config;
};

describe('a prompt', () => {
  const shared = configOf('Gemma-4-E4B');
  const own = { ...shared, num_kv_shared_layers: 0 };

  it('is read faster by MLX where the last layers share the cache of earlier ones: nothing asks for them', () => {
    const faster = on('MLX', profileOf(shared)).prefillTokensPerSecond;
    assert.ok(faster > 1.5 * on('MLX', profileOf(own)).prefillTokensPerSecond, `${faster} tok/s`);
  });

  it('is not read faster by engines that compute every layer', () => {
    const [some, all] = [shared, own].map((config) => on('LlamaCpp', profileOf(config)));
    const ratio = (some?.prefillTokensPerSecond ?? 0) / (all?.prefillTokensPerSecond ?? 0);
    assert.ok(ratio < 1.05, `${ratio} times as fast`);
  });

  it('waits after a pause for the weights of the rank, which several ranks share', () => {
    const model = profileOf(configOf('Qwen3-32B'));
    const alone = on('MLX', model).wiringMilliseconds ?? 0;
    assert.ok(alone > 300 && alone < 600, `${alone} ms for 65 GB`);
    const whole = (7 * (model.headBytes + model.embeddingBytes + model.otherBytes)) / 1e9;
    const halved = on('MLX', model, 2).wiringMilliseconds ?? 0;
    assert.ok(Math.abs(halved - whole - (alone - whole) / 2) < 1, `${halved} ms on two`);
    assert.equal(on('LlamaCpp', model).wiringMilliseconds, undefined);
  });

  it('is never read sooner for being longer, in one stage or in four', () => {
    const model = profileOf(configOf('Qwen3-32B'));
    const engine = catalogue.engines.find(({ name }) => name === 'MLX');
    const hop = catalogue.links.find(({ mode }) => mode === 'RDMA');
    assert.ok(engine && hop);
    for (const count of [1, 4]) {
      const stages = partitionLayers(model.layers.length, count).map((layers) => ({
        layers,
        ranks: [{ chip }],
      }));
      const firstTokenMs = (promptTokens: number): number =>
        predict({
          model,
          engine,
          performance: catalogue.performance,
          tensorSize: 1,
          stages,
          hop,
          promptTokens,
          generatedTokens: 128,
          concurrency: 1,
        })?.timeToFirstTokenMilliseconds ?? 0;
      const times = [1, 2047, 2048, 2049, 3000, 4095, 4096, 4097, 32_769].map(firstTokenMs);
      assert.deepEqual(
        times,
        times.toSorted((a, b) => a - b),
      );
    }
  });
});
