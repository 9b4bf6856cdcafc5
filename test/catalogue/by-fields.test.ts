import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { profileOf } from '../../src/catalogue/profile.ts';
import { models, of } from './by-fields-models.ts';

describe('families that are told by the fields that most files have', () => {
  for (const [name, config, billions, cached] of models) {
    it(`${name} has the parameters of its card, within 0.7 %`, () => {
      const { basis, totalBytes, layers } = profileOf(config);
      assert.ok(Math.abs(totalBytes / 2e9 / billions - 1) < 0.007, String(totalBytes / 2e9));
      const elements = layers.map(({ cache }) => cache.elementsPerToken);
      assert.equal(
        elements.reduce((sum, each) => sum + each, 0),
        cached,
      );
      assert.equal(basis, 'Architecture');
    });
  }
});

const deepseek = of('deepseek_v3', [61, 7168, 128, 128, 131_072], {
  intermediate_size: 16_384,
  moe_intermediate_size: 4096,
  n_routed_experts: 128,
  num_experts_per_tok: 4,
  n_shared_experts: 1,
  first_k_dense_replace: 3,
  kv_lora_rank: 512,
  q_lora_rank: 1536,
  qk_nope_head_dim: 128,
  qk_rope_head_dim: 64,
  v_head_dim: 128,
});
const qwen3 = of('qwen3', [36, 4096, 32, 8, 151_936], { head_dim: 128, intermediate_size: 12_288 });

describe('a model with a vision part', () => {
  it('is of the family of its text part, whatever it is named itself', () => {
    const { architecture, basis, totalBytes } = profileOf({
      model_type: 'mistral3',
      text_config: deepseek,
    });
    assert.deepEqual([architecture, basis], ['mistral3', 'Architecture']);
    assert.ok(Math.abs(totalBytes / 2 / 673.4e9 - 1) < 0.001, String(totalBytes / 2));
  });

  for (const key of ['text_config', 'llm_config', 'language_config']) {
    it(`is told by ${key} where its own name is not known, and is not divided`, () => {
      const { basis, totalBytes } = profileOf({ model_type: 'novel_vl', [key]: qwen3 });
      assert.deepEqual([basis, totalBytes], ['Fields', profileOf(qwen3).totalBytes]);
    });
  }
});
