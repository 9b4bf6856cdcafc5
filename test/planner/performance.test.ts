import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadCatalogue } from '../../src/catalogue/load-catalogue.ts';
import { profileOf } from '../../src/catalogue/profile.ts';
import { correctionOf } from '../../src/planner/performance/correction.ts';
import { allReduceMicroseconds } from '../../src/planner/performance/exchange.ts';
import { expectedMaximum } from '../../src/planner/performance/experts.ts';
import { expectedExperts } from '../../src/planner/performance/model-sums.ts';
import type { PerformanceOption } from '../../src/planner/performance/option.ts';
import { predict } from '../../src/planner/performance/predict.ts';

const catalogue = loadCatalogue();
const find = <T>(list: readonly T[], wanted: (entry: T) => boolean): T => {
  const found = list.find(wanted);
  assert.ok(found);
  return found;
};
const engine = (name: string) => find(catalogue.engines, (each) => each.name === name);
const chip = (name: string, gpuCores: number) =>
  find(catalogue.chips, (each) => each.chip === name && each.gpuCores === gpuCores);
const link = (type: string, mode: string) =>
  find(catalogue.links, (each) => each.type === type && each.mode === mode);
const rdma = link('Thunderbolt5', 'RDMA');

const config = {
  model_type: 'llama',
  hidden_size: 8192,
  intermediate_size: 28672,
  num_hidden_layers: 80,
  num_attention_heads: 64,
  num_key_value_heads: 8,
  vocab_size: 128256,
  tie_word_embeddings: false,
  max_position_embeddings: 131072,
};
const llama70b = profileOf(config);
const fourBits = profileOf(config, { quantization: { bits: 4, group_size: 64 } });

const option = (change: Partial<PerformanceOption> = {}, ranks = 1): PerformanceOption => ({
  model: llama70b,
  engine: engine('MLX'),
  performance: catalogue.performance,
  tensorSize: ranks,
  stages: [
    {
      layers: { firstLayer: 0, endLayer: 80 },
      ranks: Array.from({ length: ranks }, () => ({ chip: chip('M3 Ultra', 80) })),
    },
  ],
  ...(ranks > 1 ? { link: rdma } : {}),
  promptTokens: 512,
  generatedTokens: 128,
  concurrency: 1,
  ...change,
});
const decode = (...given: Parameters<typeof option>) =>
  predict(option(...given))?.decodeTokensPerSecond ?? 0;

describe('a prediction', () => {
  it('never promises more than the memory can read', () => {
    const bytes = llama70b.totalBytes - llama70b.embeddingBytes;
    assert.ok(decode() < (819e9 / bytes) * 0.99);
  });

  it('is absent for engines that were never measured', () => {
    assert.equal(predict(option({ engine: engine('BuiltIn') })), undefined);
  });

  it('says that dense models gain from more Macs over RDMA, and lose over 10 Gigabit Ethernet', () => {
    const ethernet = find(
      catalogue.links,
      (each) => each.type === 'Ethernet' && each.linkGbps === 10,
    );
    assert.ok(decode({}, 2) > 1.5 * decode());
    assert.ok(decode({}, 4) > 1.3 * decode({}, 2));
    assert.ok(decode({ model: fourBits, link: ethernet }, 4) < decode({ model: fourBits }));
  });

  it('holds its own rate between its bounds', () => {
    const prediction = predict(option());
    assert.ok(prediction);
    assert.ok(prediction.decodeTokensPerSecondLow < prediction.decodeTokensPerSecond);
    assert.ok(prediction.decodeTokensPerSecondHigh > prediction.decodeTokensPerSecond);
  });

  it('is multiplied by what the fleet measured', () => {
    assert.equal(decode({ correction: 0.5 }), 0.5 * decode());
  });

  it('knows a chip that came after all others by its generation, bandwidth and rate', () => {
    const newChip = { ...chip('M5 Pro', 20), chip: 'M9 Pro', memoryBandwidthGBps: 600 };
    const stages = [{ layers: { firstLayer: 0, endLayer: 80 }, ranks: [{ chip: newChip }] }];
    const older = [
      { layers: { firstLayer: 0, endLayer: 80 }, ranks: [{ chip: chip('M5 Pro', 20) }] },
    ];
    assert.ok(decode({ stages }) > 1.7 * decode({ stages: older }));
  });

  it('gives a batch more tokens together, and each request fewer', () => {
    const aggregate = (concurrency: number) =>
      predict(option({ model: fourBits, concurrency }))?.aggregateTokensPerSecond ?? 0;
    assert.equal(aggregate(1), decode({ model: fourBits }));
    for (const concurrency of [2, 4, 8, 16, 32]) {
      assert.ok(aggregate(concurrency) > aggregate(concurrency / 2), `${concurrency}`);
      assert.ok(aggregate(concurrency) < concurrency * aggregate(1), `${concurrency}`);
    }
  });

  it('takes one stage after the other when decoding, and both in part at once for a long prompt', () => {
    const ranks = [{ chip: chip('M3 Ultra', 80) }];
    const stages = [
      { layers: { firstLayer: 0, endLayer: 40 }, ranks },
      { layers: { firstLayer: 40, endLayer: 80 }, ranks },
    ];
    const two = predict(option({ stages, hop: rdma, promptTokens: 32768 }));
    const one = predict(option({ promptTokens: 32768 }));
    assert.ok(two && one);
    assert.ok(two.decodeTokensPerSecond < one.decodeTokensPerSecond);
    assert.ok(two.prefillTokensPerSecond > 1.3 * one.prefillTokensPerSecond);
  });
});

const onM2Ultra = (name: string) => {
  const stages = [
    { layers: { firstLayer: 0, endLayer: 80 }, ranks: [{ chip: chip('M2 Ultra', 76) }] },
  ];
  const change = { model: fourBits, engine: engine(name), stages, promptTokens: 4096 };
  const prediction = predict(option(change));
  assert.ok(prediction, name);
  return prediction;
};

describe('the engines on an M2 Ultra', () => {
  const others = ['MLCLLM', 'LlamaCpp', 'Ollama'];

  it('have MLX first in tokens a second', () => {
    const { decodeTokensPerSecond } = onM2Ultra('MLX');
    for (const name of others)
      assert.ok(decodeTokensPerSecond > onM2Ultra(name).decodeTokensPerSecond);
  });

  it('have MLC-LLM first with the first token', () => {
    const { timeToFirstTokenMilliseconds } = onM2Ultra('MLCLLM');
    for (const name of ['MLX', 'LlamaCpp', 'Ollama']) {
      assert.ok(timeToFirstTokenMilliseconds < onM2Ultra(name).timeToFirstTokenMilliseconds, name);
    }
  });
});

describe('an all-reduce', () => {
  it('takes what the link says for two and four ranks, and more for eight', () => {
    assert.equal(allReduceMicroseconds(rdma, 2), 20);
    assert.equal(allReduceMicroseconds(rdma, 4), 30);
    assert.equal(allReduceMicroseconds(rdma, 3), 25);
    assert.equal(allReduceMicroseconds(rdma, 8), 50);
    assert.equal(allReduceMicroseconds(rdma, 1), 0);
  });
});

describe('experts', () => {
  it('are hit more rarely twice the more there are', () => {
    assert.equal(Math.round(expectedExperts(384, 8, 4)), 31);
    assert.equal(Math.round(expectedExperts(384, 8, 16)), 110);
    assert.equal(Math.round(expectedExperts(128, 8, 4)), 29);
  });

  it('of 8 on 2 and 4 nodes, 5.1 and 3.5 are on the busiest', () => {
    const experts = { count: 256, perToken: 8, bytesEach: 1, parametersEach: 1 };
    const layer = llama70b.layers[0];
    assert.ok(layer);
    const model = { ...llama70b, layers: [{ ...layer, experts }] };
    assert.equal((8 * expectedMaximum(model, 2, 1)).toFixed(1), '5.1');
    assert.equal((8 * expectedMaximum(model, 4, 1)).toFixed(1), '3.5');
  });
});

const observed = (...ratios: number[]) =>
  ratios.map((ratio) => ({ observedTokensPerSecond: ratio * 20, predictedTokensPerSecond: 20 }));

describe('the correction', () => {
  it('is the median of observed by predicted', () => {
    assert.equal(correctionOf(observed(0.9, 0.1, 0.8)), 0.8);
  });

  it('stays between a half and two', () => {
    assert.equal(correctionOf(observed(0.1, 0.1, 0.2)), 0.5);
    assert.equal(correctionOf(observed(9, 9, 9)), 2);
  });

  it('waits for three observations', () => {
    assert.equal(correctionOf(observed(0.9, 0.9)), undefined);
  });
});

const rate = (change: Partial<PerformanceOption>, ranks: number) =>
  predict(option({ model: fourBits, ...change }, ranks))?.decodeTokensPerSecond ?? 0;

describe('ranks that wait for events of Metal instead of spinning', () => {
  it('leave four M3 Ultra little beside one with a 70B model of 4 bits, and four that spin gain half', () => {
    assert.ok(rate({}, 4) > 1.5 * rate({}, 1));
    assert.ok(rate({ fastSynch: false }, 4) < rate({}, 1) * 1.35);
    assert.ok(rate({ fastSynch: false }, 4) < rate({}, 4) / 1.5);
  });

  it('are what a prediction for MLX over RDMA warns of, to the millisecond', () => {
    const spinning = predict(option({ model: fourBits }, 4));
    const waiting = rate({ fastSynch: false }, 4);
    assert.ok(spinning?.synchronizationMilliseconds);
    const without = 1e3 / spinning.decodeTokensPerSecond + spinning.synchronizationMilliseconds;
    assert.ok(Math.abs(1e3 / without - waiting) < 1e-6);
  });

  it('are none with EXO, which sees to it, over TCP, or on one node', () => {
    const options = [
      option({ engine: engine('EXO') }, 4),
      option({ link: link('Thunderbolt5', 'TCP') }, 4),
      option(),
    ];
    for (const each of options) {
      assert.equal(predict(each)?.synchronizationMilliseconds, undefined);
    }
  });
});
