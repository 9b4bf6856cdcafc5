import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { profileOf } from '../../src/catalogue/profile.ts';

const of = (
  model_type: string,
  [layers, hidden_size, heads, kvHeads, vocab_size]: number[],
  more: object,
) => ({
  model_type,
  num_hidden_layers: layers,
  hidden_size,
  num_attention_heads: heads,
  num_key_value_heads: kvHeads,
  vocab_size,
  torch_dtype: 'bfloat16',
  tie_word_embeddings: false,
  ...more,
});

const tied = { tie_word_embeddings: true };
const every = (layers: number, kind: (index: number) => string | number) =>
  Array.from({ length: layers }, (_, index) => kind(index));
const granite = {
  mamba_d_conv: 4,
  mamba_d_head: 64,
  mamba_d_state: 128,
  mamba_n_groups: 1,
  layer_types: every(40, (index) => ([5, 15, 25, 35].includes(index) ? 'attention' : 'mamba')),
  ...tied,
};

/** Model, config.json, billions of parameters on its card, and elements that a position adds to the caches. */
const models: [string, Record<string, unknown>, number, number][] = [
  [
    'ERNIE-4.5-21B-A3B',
    of('ernie4_5_moe', [28, 2560, 20, 4, 103_424], {
      intermediate_size: 12_288,
      moe_num_experts: 64,
      moe_k: 6,
      moe_intermediate_size: 1536,
      moe_num_shared_experts: 2,
      moe_layer_start_index: 1,
      ...tied,
    }),
    21.83,
    28_672,
  ],
  [
    'dots.llm1',
    of('dots1', [62, 4096, 32, 32, 152_064], {
      intermediate_size: 10_944,
      moe_intermediate_size: 1408,
      n_routed_experts: 128,
      num_experts_per_tok: 6,
      n_shared_experts: 2,
      first_k_dense_replace: 1,
    }),
    142.8,
    507_904,
  ],
  [
    'Ling-mini-2.0',
    of('bailing_moe', [20, 2048, 16, 4, 157_184], {
      intermediate_size: 5120,
      moe_intermediate_size: 512,
      num_experts: 256,
      num_experts_per_tok: 8,
      num_shared_experts: 1,
      first_k_dense_replace: 1,
    }),
    16.26,
    20_480,
  ],
  [
    'Hunyuan-A13B, whose file has lists',
    of('hunyuan_v1_moe', [32, 4096, 32, 8, 128_167], {
      head_dim: 128,
      intermediate_size: 3072,
      moe_intermediate_size: every(32, () => 3072),
      num_experts: 64,
      moe_topk: every(32, () => 8),
      num_shared_expert: every(32, () => 1),
      ...tied,
    }),
    80.39,
    65_536,
  ],
  [
    'Phi-3.5-MoE',
    of('phimoe', [32, 4096, 32, 8, 32_064], {
      intermediate_size: 6400,
      num_local_experts: 16,
      num_experts_per_tok: 2,
    }),
    41.87,
    65_536,
  ],
  [
    'Granite-4.0-H-Small',
    of('granitemoehybrid', [40, 4096, 32, 8, 100_352], {
      intermediate_size: 768,
      shared_intermediate_size: 1536,
      num_local_experts: 72,
      num_experts_per_tok: 10,
      mamba_n_heads: 128,
      ...granite,
    }),
    32.21,
    8192,
  ],
  [
    'Granite-4.0-H-Tiny',
    of('granitemoehybrid', [40, 1536, 12, 4, 100_352], {
      intermediate_size: 512,
      shared_intermediate_size: 1024,
      num_local_experts: 64,
      num_experts_per_tok: 6,
      mamba_n_heads: 48,
      ...granite,
    }),
    6.94,
    4096,
  ],
  [
    'Jamba-v0.1',
    of('jamba', [32, 4096, 32, 8, 65_536], {
      intermediate_size: 14_336,
      num_experts: 16,
      num_experts_per_tok: 2,
      attn_layer_period: 8,
      attn_layer_offset: 4,
      expert_layer_period: 2,
      expert_layer_offset: 1,
      mamba_d_state: 16,
      mamba_d_conv: 4,
      mamba_expand: 2,
      mamba_dt_rank: 'auto',
    }),
    51.57,
    8192,
  ],
  [
    'Falcon-H1-34B',
    of('falcon_h1', [72, 5120, 20, 4, 261_120], {
      head_dim: 128,
      intermediate_size: 21_504,
      mamba_d_ssm: 4096,
      mamba_d_head: 128,
      mamba_n_heads: 32,
      mamba_n_groups: 2,
      mamba_d_state: 256,
    }),
    33.64,
    73_728,
  ],
  [
    'LFM2-1.2B',
    of('lfm2', [16, 2048, 32, 8, 65_536], {
      block_ff_dim: 12_288,
      block_multiple_of: 256,
      block_ffn_dim_multiplier: 1,
      block_auto_adjust_ff_dim: true,
      conv_L_cache: 3,
      full_attn_idxs: [2, 5, 8, 10, 12, 14],
      ...tied,
    }),
    1.17,
    6144,
  ],
  [
    'MiniMax-M1',
    of('minimax_m1', [80, 6144, 64, 8, 200_064], {
      head_dim: 128,
      intermediate_size: 9216,
      num_local_experts: 32,
      num_experts_per_tok: 2,
      attn_type_list: every(80, (index) => ((index + 1) % 8 === 0 ? 1 : 0)),
      shared_intermediate_size: 0,
    }),
    456,
    20_480,
  ],
  [
    'Gemma-3n-E4B',
    of('gemma3n_text', [35, 2048, 8, 2, 262_400], {
      head_dim: 256,
      intermediate_size: every(35, () => 16_384),
      hidden_size_per_layer_input: 256,
      vocab_size_per_layer_input: 262_144,
      num_kv_shared_layers: 15,
      altup_num_inputs: 4,
      laurel_rank: 64,
      sliding_window: 512,
      ...tied,
    }),
    6.87,
    20_480,
  ],
  [
    'Mamba-Codestral-7B, which caches a state and nothing for a position',
    {
      model_type: 'mamba2',
      hidden_size: 4096,
      num_hidden_layers: 64,
      state_size: 128,
      n_groups: 8,
      num_heads: 128,
      head_dim: 64,
      vocab_size: 32_768,
      tie_word_embeddings: false,
    },
    7.29,
    0,
  ],
  [
    'Mamba-2.8B',
    { model_type: 'mamba', hidden_size: 2560, num_hidden_layers: 64, vocab_size: 50_280 },
    2.77,
    0,
  ],
  [
    'StarCoder2-15B',
    of('starcoder2', [40, 6144, 48, 4, 49_152], { intermediate_size: 24_576 }),
    15.96,
    40_960,
  ],
  [
    'EXAONE-3.5-7.8B, with layers by another name',
    of('exaone', [32, 4096, 32, 8, 102_400], {
      num_hidden_layers: undefined,
      num_layers: 32,
      intermediate_size: 14_336,
    }),
    7.82,
    65_536,
  ],
];

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
