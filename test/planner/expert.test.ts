import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { profileOf } from '../../src/catalogue/profile.ts';
import { plan } from '../../src/planner/plan.ts';
import type { Plan, PlanOption } from '../../src/planner/types.ts';
import type { ModelDeploymentSpec } from '../../src/resources/types.ts';
import { GiB, profile, spec } from './builders.ts';
import { cabled, catalogue } from './fleets.ts';

const studio = { hardwareModel: 'Mac15,14', chip: 'M3 Ultra', memoryBytes: 512 * GiB };
const four = [0, 1, 2, 3].flatMap((left) => [0, 1, 2, 3].map((right) => [left, right] as const));
const nodes = cabled([studio, studio, studio, studio], four);
const file = new URL('../../examples/models/deepseek-v3.1-4bit/config.json', import.meta.url);
const deepseek = profileOf(JSON.parse(readFileSync(file, 'utf8')));

const expertOptions = (
  model: typeof deepseek,
  parallelism: ModelDeploymentSpec['parallelism'],
): PlanOption[] => {
  const deployment = { namespace: 'default', name: 'm', spec: spec({ parallelism }) };
  const result = plan({ deployment, model, nodes, catalogue });
  assert.ok(result.ok);
  return result.options.filter(({ expertSize }) => expertSize !== undefined);
};

describe('experts whole on different nodes', () => {
  it('are compared with sliced ones wherever experts are cut, and lose to the busiest node', () => {
    const [option] = expertOptions(deepseek, { strategy: 'Tensor', tensorSize: 4 });
    assert.equal(option?.expertSize, 4);
    assert.equal(option.verdict, 'Rejected');
    assert.match(option.message, /busiest of 4 nodes computes 3\.5 .* 2\.0 where each is sliced/);
    assert.match(option.message, /engine MLX slices experts|engine EXO slices experts/);
    assert.ok(option.predicted && option.predicted.decodeTokensPerSecond > 10);
  });

  it('are refused with numbers where they are asked for, beside a plan that can run', () => {
    const [option] = expertOptions(deepseek, { strategy: 'Auto', expertSize: 2 });
    assert.match(option?.message ?? '', /busiest of 2 nodes computes 5\.1/);
    assert.equal(option?.reason, 'NotAvailableYet');
  });

  it('are refused for a model without experts', () => {
    const [option] = expertOptions(profile(8), { strategy: 'Auto', expertSize: 2 });
    assert.equal(option?.reason, 'IncompatibleModel');
  });
});

/** As the study of DBRX did it (arXiv 2506.23635): MLX, all but the experts whole on each node, 10 GbE. */
const studyCatalogue = {
  ...catalogue,
  engines: catalogue.engines.map((engine) =>
    engine.name === 'MLX'
      ? {
          ...engine,
          expert: {
            architectures: ['dbrx'],
            rest: 'Whole' as const,
            interconnects: ['TCP' as const],
          },
        }
      : engine,
  ),
};
const ultra = { hardwareModel: 'Mac14,14', chip: 'M2 Ultra', memoryBytes: 192 * GiB };
const dbrxFile = new URL('../../examples/models/dbrx-132b-bf16/config.json', import.meta.url);
const dbrx = profileOf(JSON.parse(readFileSync(dbrxFile, 'utf8')));

const planDBRX = (count: number, parallelism: ModelDeploymentSpec['parallelism']): Plan => {
  const result = plan({
    deployment: {
      namespace: 'default',
      name: 'dbrx',
      spec: spec({
        parallelism,
        objective: 'SingleStream',
        runtime: { ...spec().runtime, name: 'MLX', maxConcurrentRequests: 1 },
      }),
    },
    model: dbrx,
    nodes: cabled(
      Array.from({ length: count }, () => ultra),
      [],
    ),
    catalogue: studyCatalogue,
  });
  assert.ok(result.ok, JSON.stringify(result));
  return result.plan;
};

describe('with an engine that places experts whole, DBRX on Mac Studios M2 Ultra', () => {
  it('does not fit one, and goes over two with half of the experts on each', () => {
    const { expertSize, tensorSize, ranks, interconnectMode } = planDBRX(2, { strategy: 'Auto' });
    assert.deepEqual([expertSize, tensorSize, interconnectMode], [2, 2, 'TCP']);
    const [layer] = dbrx.layers;
    assert.ok(layer?.experts);
    const experts = 40 * 8 * layer.experts.bytesEach;
    const rest = 40 * layer.shardedBytes;
    for (const { memory } of ranks) assert.equal(memory.shardedWeightsBytes, experts + rest);
  });

  it('becomes faster from two to three to four, by less each time', () => {
    const rates = [2, 3, 4].map(
      (size) =>
        planDBRX(4, { strategy: 'Auto', expertSize: size }).predicted?.decodeTokensPerSecond ?? 0,
    );
    const [two = 0, three = 0, four = 0] = rates;
    assert.ok(two < three && three < four, rates.join());
    assert.ok(three - two > four - three, rates.join());
  });

  it('spends about as long on exchanges as on its experts', () => {
    for (const size of [2, 3, 4]) {
      const { predicted } = planDBRX(4, { strategy: 'Auto', expertSize: size });
      assert.ok(predicted?.breakdown);
      const { exchangeMs, weightsMs } = predicted.breakdown;
      assert.ok(exchangeMs > weightsMs / 3 && exchangeMs < weightsMs * 3, `${size}: ${exchangeMs}`);
    }
  });

  it('asks for a wired limit on two, where the default would unwire experts', () => {
    for (const { wiredLimitMiB = 0, memory } of planDBRX(2, { strategy: 'Auto' }).ranks) {
      assert.ok(wiredLimitMiB * 2 ** 20 >= memory.totalBytes);
    }
  });

  it('holds fewer experts on each of three, the fullest with six of sixteen', () => {
    const [rank] = planDBRX(3, { strategy: 'Auto', expertSize: 3 }).ranks;
    const [layer] = dbrx.layers;
    assert.ok(layer?.experts);
    const expected = 40 * (6 * layer.experts.bytesEach + layer.shardedBytes);
    assert.equal(rank?.memory.shardedWeightsBytes, expected);
  });
});
