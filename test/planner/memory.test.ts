import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { builtInEngine } from '../../src/catalogue/engine-capabilities.ts';
import { loadCatalogue } from '../../src/catalogue/load-catalogue.ts';
import { readModelProfile } from '../../src/catalogue/model-folder.ts';
import { layerBytes, profileOf } from '../../src/catalogue/profile.ts';
import { rankMemory } from '../../src/planner/memory.ts';
import { partitionLayers } from '../../src/planner/partition.ts';
import { configOf } from '../catalogue/published-models.ts';

const model = await readModelProfile(join(import.meta.dirname, '../../examples/models/sprout'));
const demand = { model, engine: builtInEngine, contextLength: 512, maxConcurrentRequests: 4 };
const memoryOf = (tensorSize: number, pipelineSize: number) =>
  partitionLayers(model.layers.length, pipelineSize).map((layers, stage) =>
    rankMemory(demand, { tensorSize, pipelineSize }, stage, layers),
  );
const norms = 2 * 256 * 2;
const embedding = 2048 * 256 * 1.0625;
// 4 KV heads of 32 for 512 positions of 4 sequences: keys and values, in f32.
const kvPerLayer = 512 * 4 * 4 * 32 * 2 * 4;

it('one rank holds everything, and a packed copy of the tied head', () => {
  const [rank] = memoryOf(1, 1);
  assert.equal(rank?.shardedWeightsBytes, 6 * 835_584 + embedding);
  assert.equal(rank.replicatedWeightsBytes, 6 * norms + embedding + 512);
  assert.equal(rank.kvCacheBytes, 6 * kvPerLayer);
});

it('tensor ranks share layers, head and KV cache, not the embedding and the norms', () => {
  const [whole] = memoryOf(1, 1);
  const [rank] = memoryOf(4, 1);
  assert.ok(whole && rank);
  assert.equal(rank.shardedWeightsBytes, whole.shardedWeightsBytes / 4);
  assert.equal(rank.replicatedWeightsBytes, whole.replicatedWeightsBytes);
  assert.equal(rank.kvCacheBytes, whole.kvCacheBytes / 4);
});

it('stages hold their layers; the first the embedding, the last the head and the final norm', () => {
  const [first, last] = memoryOf(2, 2);
  assert.ok(first && last);
  assert.equal(first.shardedWeightsBytes, (3 * 835_584) / 2);
  assert.equal(last.shardedWeightsBytes, (3 * 835_584 + embedding) / 2);
  assert.equal(first.replicatedWeightsBytes, 3 * norms + embedding);
  assert.equal(last.replicatedWeightsBytes, 3 * norms + 512);
  assert.equal(first.kvCacheBytes, (3 * kvPerLayer) / 2);
});

describe('with MLX', () => {
  const mlx = loadCatalogue().engines.find(({ name }) => name === 'MLX');
  assert.ok(mlx);
  const affine = { quantization: { bits: 4, group_size: 64 } };
  const memoryWith = (name: string, tensorSize: number, contextLength = 8192) => {
    const profile = profileOf(configOf(name), affine);
    const layers = { firstLayer: 0, endLayer: profile.layers.length };
    const of = { model: profile, engine: mlx, contextLength, maxConcurrentRequests: 1 };
    return { profile, ...rankMemory(of, { tensorSize, pipelineSize: 1 }, 0, layers) };
  };

  it('embedding and head stay whole on each tensor rank', () => {
    const one = memoryWith('Llama-3.3-70B', 1);
    const two = memoryWith('Llama-3.3-70B', 2);
    const { embeddingBytes, headBytes } = one.profile;
    assert.ok(two.replicatedWeightsBytes > embeddingBytes + headBytes);
    assert.equal(two.shardedWeightsBytes, one.shardedWeightsBytes / 2);
    assert.equal(two.kvCacheBytes, one.kvCacheBytes / 2);
    assert.equal(one.shardedWeightsBytes + one.replicatedWeightsBytes, one.profile.totalBytes);
  });

  it('a latent cache does not shrink with tensor ranks', () => {
    const one = memoryWith('DeepSeek-V3', 1);
    assert.equal(one.kvCacheBytes, 8192 * 61 * 576 * 2);
    assert.equal(memoryWith('DeepSeek-V3', 4).kvCacheBytes, one.kvCacheBytes);
  });

  it('a tied embedding serves as head, and is there once', () => {
    const { profile, ...memory } = memoryWith('Qwen3-4B', 1);
    const weights = memory.shardedWeightsBytes + memory.replicatedWeightsBytes;
    assert.equal(weights, profile.totalBytes);
  });

  it('a sliding window and a linear state bound the cache', () => {
    const full = 10 * 2 * 16 * 128 * 2;
    const windows = 52 * 1024 * 2 * 16 * 128 * 2;
    assert.equal(memoryWith('Gemma-3-27B', 1, 32_768).kvCacheBytes, 32_768 * full + windows);
    const states = 48 * (48 * 128 * 128 * 4 + 3 * 10_240 * 2);
    assert.equal(memoryWith('Qwen3.5-27B', 1, 100).kvCacheBytes, 100 * 65_536 + states);
  });

  it('each stage holds embedding and head', () => {
    const profile = profileOf(configOf('DeepSeek-V3'), affine);
    const of = { model: profile, engine: mlx, contextLength: 1, maxConcurrentRequests: 1 };
    const middle = { firstLayer: 20, endLayer: 40 };
    const memory = rankMemory(of, { tensorSize: 1, pipelineSize: 3 }, 1, middle);
    const layers = profile.layers.slice(20, 40).map(layerBytes);
    assert.equal(
      memory.shardedWeightsBytes + memory.replicatedWeightsBytes,
      layers.reduce((sum, bytes) => sum + bytes, 0) +
        profile.embeddingBytes +
        profile.headBytes +
        profile.otherBytes,
    );
  });
});
