import assert from 'node:assert/strict';
import { it } from 'node:test';
import { profileOf } from '../../src/catalogue/profile.ts';
import { plan } from '../../src/planner/plan.ts';
import type { PlanResult } from '../../src/planner/types.ts';
import { GiB, spec } from './builders.ts';
import { cabled, catalogue } from './fleets.ts';

const studio = { hardwareModel: 'Mac15,14', chip: 'M3 Ultra', memoryBytes: 512 * GiB };
const nodes = cabled([studio, studio], [[0, 1]]);

/** A mixture of experts by the usual names, of a model_type that nobody has heard of. */
const novel = (experts: number) =>
  profileOf({
    model_type: 'novel',
    hidden_size: 7168,
    num_hidden_layers: 61,
    num_attention_heads: 64,
    num_key_value_heads: 8,
    head_dim: 128,
    intermediate_size: 18_432,
    moe_intermediate_size: 2048,
    num_experts: experts,
    num_experts_per_tok: 8,
    vocab_size: 160_000,
    quantization: { bits: 4, group_size: 64 },
  });

const planned = (experts: number): PlanResult => {
  const model = novel(experts);
  const deployment = { namespace: 'default', name: 'm', spec: spec() };
  return plan({ deployment, model, nodes, catalogue });
};

it('an architecture that no engine names is planned whole on one Mac, and the plan says on what ground', () => {
  const result = planned(64);
  assert.ok(result.ok);
  assert.deepEqual([result.plan.engine, result.plan.strategy], ['MLX', 'Single']);
  assert.match(result.plan.explanation, /novel is not known and there are no weights/);
  assert.match(result.plan.explanation, /No engine of the catalogue names novel: a later release/);
  assert.ok(result.options.every(({ tensorSize }) => tensorSize === 1));
});

it('an architecture that no engine names goes to stages whole where one Mac is too small', () => {
  const result = planned(384);
  assert.ok(result.ok);
  const { engine, strategy, ranks } = result.plan;
  assert.deepEqual([engine, strategy, ranks.length], ['EXO', 'Pipeline', 2]);
});
