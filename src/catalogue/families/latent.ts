import type { ConfigFields } from '../config-fields.ts';
import { matrix, vector } from '../model-shape.ts';
import type { ModelModule } from '../model-shape.ts';
import { headDivisors, outputCut } from './attention.ts';
import type { MixerShape } from './attention.ts';

/**
 * Multi-head latent attention (DeepSeek V2 and later): one latent for each position, which every tensor rank
 * keeps whole; heads are divided. Down-projections stay whole too (mlx-lm: shard() of deepseek_v3.py).
 */
export const latentAttention = (
  fields: ConfigFields,
  prefix: string,
  hiddenSize: number,
): MixerShape => {
  const heads = fields.integer('num_attention_heads');
  const latent = fields.integer('kv_lora_rank');
  const rope = fields.count('qk_rope_head_dim');
  const nope = fields.integer('qk_nope_head_dim');
  const value = fields.integer('v_head_dim');
  const gated = fields.flag('mla_use_output_gate') === true;
  const index = indexer(fields, prefix, hiddenSize);
  return {
    mixer: 'LatentAttention',
    modules: [
      ...queryModules(fields, prefix, [heads * (nope + rope), hiddenSize]),
      matrix(`${prefix}.kv_a_proj_with_mqa`, [latent + rope, hiddenSize], 'Nothing'),
      vector(`${prefix}.kv_a_layernorm`, latent),
      matrix(`${prefix}.kv_b_proj`, [heads * (nope + value), latent], 'Rows'),
      matrix(`${prefix}.o_proj`, [hiddenSize, heads * value], 'Columns'),
      ...(gated ? [matrix(`${prefix}.g_proj`, [heads * value, hiddenSize], 'Rows')] : []),
      ...index.modules,
    ],
    cache: {
      elementsPerToken: latent + rope + index.cachedElements,
      stateBytes: 0,
      shards: 1,
    },
    scoreElements: heads * (nope + rope + value),
    headWidth: nope + rope,
    ...(index.scoreElements > 0 && { wholeScoreElements: index.scoreElements }),
    divisors: headDivisors(heads),
    groupCuts: [outputCut(`${prefix}.o_proj`, heads, value)],
  };
};

/** Through a latent of their own, or straight. */
const queryModules = (
  fields: ConfigFields,
  prefix: string,
  [rows, hiddenSize]: [number, number],
): ModelModule[] => {
  const rank = fields.count('q_lora_rank');
  if (rank === 0) return [matrix(`${prefix}.q_proj`, [rows, hiddenSize], 'Rows')];
  return [
    matrix(`${prefix}.q_a_proj`, [rank, hiddenSize], 'Nothing'),
    vector(`${prefix}.q_a_layernorm`, rank),
    matrix(`${prefix}.q_b_proj`, [rows, rank], 'Rows'),
  ];
};

/** Sparse attention's scorer (DeepSeek V3.2, GLM-5): whole on every rank, with keys of its own in the cache. */
const indexer = (fields: ConfigFields, prefix: string, hiddenSize: number) => {
  const heads = fields.count('index_n_heads');
  if (heads === 0) return { modules: [], cachedElements: 0, scoreElements: 0 };
  const headDim = fields.integer('index_head_dim');
  const name = `${prefix}.indexer`;
  return {
    modules: [
      matrix(`${name}.wq_b`, [heads * headDim, fields.integer('q_lora_rank')], 'Nothing'),
      matrix(`${name}.wk`, [headDim, hiddenSize], 'Nothing'),
      vector(`${name}.k_norm`, 2 * headDim),
      matrix(`${name}.weights_proj`, [heads, hiddenSize], 'Nothing'),
    ],
    cachedElements: headDim,
    scoreElements: heads * headDim,
  };
};
