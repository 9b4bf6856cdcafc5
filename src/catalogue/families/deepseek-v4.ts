import type { ConfigFields } from '../config-fields.ts';
import { matrix, vector } from '../model-shape.ts';
import type { LayerShape, ModelModule, ModelShape } from '../model-shape.ts';
import { headDivisors } from './attention.ts';
import type { MixerShape } from './attention.ts';
import { commonShape, layerOf } from './common.ts';
import { routedMlp } from './mlp.ts';

/**
 * DeepSeek V4: one key-value head that serves all queries, kept for a short window and, on most layers,
 * compressed 4 or 128 times beyond it; outputs through a low rank for each group of heads.
 */
export const deepseekV4 = (fields: ConfigFields, architecture: string): ModelShape => {
  const hiddenSize = fields.integer('hidden_size');
  const width = fields.integer('moe_intermediate_size');
  const sharedExperts = fields.count('n_shared_experts');
  const common = commonShape(fields, (index) => {
    const mlp = routedMlp({
      prefix: `model.layers.${index}.ffn`,
      hiddenSize,
      width,
      count: fields.integer('n_routed_experts'),
      perToken: fields.integer('num_experts_per_tok'),
      router: { plain: true },
      routingBias: true,
      ...(sharedExperts > 0 && {
        shared: { name: 'shared_experts', width: width * sharedExperts },
      }),
    });
    return withHyperConnections(
      fields,
      index,
      layerOf(index, hiddenSize, attention(fields, index), mlp),
    );
  });
  return { architecture, ...common };
};

const attention = (fields: ConfigFields, index: number): MixerShape => {
  const prefix = `model.layers.${index}.attn`;
  const hiddenSize = fields.integer('hidden_size');
  const heads = fields.integer('num_attention_heads');
  const headDim = fields.integer('head_dim');
  const queryRank = fields.integer('q_lora_rank');
  const outputRank = fields.integer('o_lora_rank');
  const groups = fields.integer('o_groups');
  if (heads % groups !== 0) {
    throw fields.invalid(`num_attention_heads ${heads} is no multiple of o_groups ${groups}`);
  }
  const ratio = compressionRatio(fields, index);
  const compressed =
    ratio > 0 ? compressor(`${prefix}.compressor`, hiddenSize, headDim, ratio) : [];
  const index4 = ratio === 4 ? indexer(fields, `${prefix}.indexer`) : undefined;
  const windowTokens = fields.integer('sliding_window', { fallback: 128 });
  const cachedWidth = headDim + (index4 ? index4.headDim : 0);
  return {
    mixer: ratio > 0 ? 'LatentAttention' : 'SlidingWindow',
    modules: [
      matrix(`${prefix}.wq_a`, [queryRank, hiddenSize], 'Nothing'),
      vector(`${prefix}.q_norm`, queryRank),
      matrix(`${prefix}.wq_b`, [heads * headDim, queryRank], 'Rows'),
      matrix(`${prefix}.wkv`, [headDim, hiddenSize], 'Nothing'),
      vector(`${prefix}.kv_norm`, headDim),
      vector(`${prefix}.attn_sink`, heads, 'Rows'),
      matrix(`${prefix}.wo_a`, [groups * outputRank, (heads * headDim) / groups], 'Columns'),
      matrix(`${prefix}.wo_b`, [hiddenSize, groups * outputRank], 'Nothing'),
      ...compressed,
      ...(index4?.modules ?? []),
    ],
    cache: {
      elementsPerToken: ratio > 0 ? cachedWidth / ratio : headDim,
      ...(ratio > 0 ? {} : { windowTokens }),
      stateBytes: ratio > 0 ? windowTokens * headDim * 2 : 0,
      shards: 1,
    },
    scoreElements: (2 * heads * headDim) / Math.max(1, ratio),
    headWidth: headDim,
    divisors: [
      ...headDivisors(heads),
      { reason: 'IndivisibleHeads', what: 'heads of each output group', count: heads / groups },
    ],
    groupCuts: [
      {
        what: 'attention output',
        module: `${prefix}.wo_a`,
        inputs: (heads * headDim) / groups,
        unit: headDim,
      },
    ],
  };
};

/** 0: this layer has the window alone. */
const compressionRatio = (fields: ConfigFields, index: number): number => {
  const ratio = fields.list('compress_ratios')?.[index] ?? 0;
  if (typeof ratio === 'number' && Number.isInteger(ratio) && ratio >= 0) return ratio;
  throw fields.invalid(`compress_ratios: expected whole numbers`);
};

/** Pools `ratio` positions into one by learned gates; four overlap with the four before. */
const compressor = (
  name: string,
  hiddenSize: number,
  headDim: number,
  ratio: number,
): ModelModule[] => {
  const width = ratio === 4 ? 2 * headDim : headDim;
  return [
    matrix(`${name}.wkv`, [width, hiddenSize], 'Nothing'),
    matrix(`${name}.wgate`, [width, hiddenSize], 'Nothing'),
    matrix(`${name}.ape`, [ratio, width], 'Nothing', { plain: true }),
    vector(`${name}.norm`, headDim),
  ];
};

const indexer = (fields: ConfigFields, name: string) => {
  const heads = fields.integer('index_n_heads');
  const headDim = fields.integer('index_head_dim');
  const hiddenSize = fields.integer('hidden_size');
  return {
    headDim,
    modules: [
      matrix(`${name}.wq_b`, [heads * headDim, fields.integer('q_lora_rank')], 'Nothing'),
      matrix(`${name}.weights_proj`, [heads, hiddenSize], 'Nothing'),
      ...compressor(`${name}.compressor`, hiddenSize, headDim, 4),
    ],
  };
};

/** Several residual streams, mixed before and after each half of the layer. */
const withHyperConnections = (
  fields: ConfigFields,
  index: number,
  layer: LayerShape,
): LayerShape => {
  const streams = fields.integer('hc_mult', { fallback: 1 });
  const hiddenSize = fields.integer('hidden_size');
  const mixes = (2 + streams) * streams;
  const modules = ['hc_attn', 'hc_ffn'].map((name) =>
    matrix(`model.layers.${index}.${name}.fn`, [mixes, streams * hiddenSize], 'Nothing', {
      plain: true,
    }),
  );
  return { ...layer, modules: [...layer.modules, ...modules] };
};
