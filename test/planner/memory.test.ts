import assert from 'node:assert/strict';
import { join } from 'node:path';
import { it } from 'node:test';
import { builtInEngine } from '../../src/catalogue/engine-capabilities.ts';
import { readModelProfile } from '../../src/catalogue/model-folder.ts';
import { rankMemory } from '../../src/planner/memory.ts';
import { partitionLayers } from '../../src/planner/partition.ts';

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
