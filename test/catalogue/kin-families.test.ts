import assert from 'node:assert/strict';
import { it } from 'node:test';
import { profileOf } from '../../src/catalogue/profile.ts';

const untied = { tie_word_embeddings: false };

/** Model, config.json, and the parameters that its checkpoint has. */
const kin: [string, object, number][] = [
  [
    'Mistral-7B-v0.1',
    {
      model_type: 'mistral',
      hidden_size: 4096,
      intermediate_size: 14_336,
      num_attention_heads: 32,
      num_hidden_layers: 32,
      num_key_value_heads: 8,
      vocab_size: 32_000,
      sliding_window: 4096,
      ...untied,
    },
    7_241_732_096,
  ],
  [
    'Mistral-Small-24B, in text_config',
    {
      model_type: 'mistral3',
      text_config: {
        model_type: 'mistral',
        hidden_size: 5120,
        intermediate_size: 32_768,
        num_attention_heads: 32,
        num_hidden_layers: 40,
        num_key_value_heads: 8,
        head_dim: 128,
        vocab_size: 131_072,
      },
    },
    23_572_403_200,
  ],
  [
    'Phi-3-mini',
    {
      model_type: 'phi3',
      hidden_size: 3072,
      intermediate_size: 8192,
      num_attention_heads: 32,
      num_hidden_layers: 32,
      num_key_value_heads: 32,
      vocab_size: 32_064,
      ...untied,
    },
    3_821_079_552,
  ],
  [
    'Gemma-2B',
    {
      model_type: 'gemma',
      hidden_size: 2048,
      intermediate_size: 16_384,
      num_attention_heads: 8,
      num_hidden_layers: 18,
      num_key_value_heads: 1,
      head_dim: 256,
      vocab_size: 256_000,
    },
    2_506_172_416,
  ],
  [
    'Gemma-2-9B',
    {
      model_type: 'gemma2',
      hidden_size: 3584,
      intermediate_size: 14_336,
      num_attention_heads: 16,
      num_hidden_layers: 42,
      num_key_value_heads: 8,
      head_dim: 256,
      vocab_size: 256_000,
    },
    9_241_705_984,
  ],
  [
    'OLMo-2-7B',
    {
      model_type: 'olmo2',
      hidden_size: 4096,
      intermediate_size: 11_008,
      num_attention_heads: 32,
      num_hidden_layers: 32,
      num_key_value_heads: 32,
      vocab_size: 100_352,
      ...untied,
    },
    7_298_617_344,
  ],
  [
    'Command-R',
    {
      model_type: 'cohere',
      hidden_size: 8192,
      intermediate_size: 22_528,
      num_attention_heads: 64,
      num_hidden_layers: 40,
      num_key_value_heads: 64,
      vocab_size: 256_000,
    },
    34_980_831_232,
  ],
  [
    'Command-R7B',
    {
      model_type: 'cohere2',
      hidden_size: 4096,
      intermediate_size: 14_336,
      num_attention_heads: 32,
      num_hidden_layers: 32,
      num_key_value_heads: 8,
      head_dim: 128,
      vocab_size: 256_000,
    },
    8_028_033_024,
  ],
  [
    'Qwen1.5-MoE-A2.7B',
    {
      model_type: 'qwen2_moe',
      hidden_size: 2048,
      intermediate_size: 5632,
      moe_intermediate_size: 1408,
      shared_expert_intermediate_size: 5632,
      num_attention_heads: 16,
      num_hidden_layers: 24,
      num_key_value_heads: 16,
      num_experts: 60,
      num_experts_per_tok: 4,
      vocab_size: 151_936,
      ...untied,
    },
    14_315_784_192,
  ],
  [
    'DeepSeek-V2-Lite',
    {
      model_type: 'deepseek_v2',
      hidden_size: 2048,
      intermediate_size: 10_944,
      moe_intermediate_size: 1408,
      n_routed_experts: 64,
      n_shared_experts: 2,
      num_experts_per_tok: 6,
      first_k_dense_replace: 1,
      topk_method: 'greedy',
      num_attention_heads: 16,
      num_hidden_layers: 27,
      kv_lora_rank: 512,
      q_lora_rank: null,
      qk_nope_head_dim: 128,
      qk_rope_head_dim: 64,
      v_head_dim: 128,
      vocab_size: 102_400,
      ...untied,
    },
    15_706_484_224,
  ],
  [
    'Kimi-Linear-48B-A3B',
    {
      model_type: 'kimi_linear',
      hidden_size: 2304,
      intermediate_size: 9216,
      moe_intermediate_size: 1024,
      num_experts: 256,
      num_experts_per_token: 8,
      num_shared_experts: 1,
      first_k_dense_replace: 1,
      num_attention_heads: 32,
      num_hidden_layers: 27,
      num_key_value_heads: 32,
      kv_lora_rank: 512,
      q_lora_rank: null,
      qk_nope_head_dim: 128,
      qk_rope_head_dim: 64,
      v_head_dim: 128,
      vocab_size: 163_840,
      linear_attn_config: {
        kda_layers: [1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19, 21, 22, 23, 25, 26],
        num_heads: 32,
        head_dim: 128,
        short_conv_kernel_size: 4,
      },
      ...untied,
    },
    49_122_681_728,
  ],
];

for (const [name, config, parameters] of kin) {
  it(`${name} has as many parameters as its checkpoint, within 0.01 %`, () => {
    const { totalBytes } = profileOf({ ...config, torch_dtype: 'bfloat16' });
    assert.ok(Math.abs(totalBytes / 2 / parameters - 1) < 0.0001, String(totalBytes / 2));
  });
}
