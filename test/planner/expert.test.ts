import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { profileOf } from '../../src/catalogue/profile.ts';
import { plan } from '../../src/planner/plan.ts';
import type { PlanOption } from '../../src/planner/types.ts';
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
