import type { ConfigFields } from '../config-fields.ts';
import { matrix, vector } from '../model-shape.ts';
import type { ModelModule, ModelShape } from '../model-shape.ts';
import { groupedQueryAttention } from './attention.ts';
import type { MixerShape } from './attention.ts';
import { commonShape, layerOf, windowOf } from './common.ts';
import { underUsualNames } from './field-names.ts';
import { gatedMlp, routedMlp } from './mlp.ts';
import type { MlpShape } from './mlp.ts';

const norms = ['pre_feedforward_layernorm', 'post_feedforward_layernorm'];

/** Gemma 1 to 3. Their files leave out what the class has as default. */
export const gemma = (fields: ConfigFields, architecture: string): ModelShape => {
  const isThird = architecture.startsWith('gemma3');
  const hiddenSize = fields.integer('hidden_size');
  const heads = fields.integer('num_attention_heads', { fallback: 8 });
  const shape = {
    hiddenSize,
    heads,
    kvHeads: fields.integer('num_key_value_heads', { fallback: isThird ? 4 : heads }),
    headDim: fields.integer('head_dim', { fallback: 256 }),
  };
  const common = commonShape(
    defaulted(fields, {
      vocab_size: architecture === 'gemma3' ? 262_208 : isThird ? 262_144 : 256_000,
      max_position_embeddings: isThird ? 131_072 : 8192,
    }),
    (index) => {
      const pattern = fields.integer('sliding_window_pattern', { fallback: isThird ? 6 : 2 });
      const windowTokens =
        architecture === 'gemma'
          ? undefined
          : windowOf(fields, index, { pattern, fallback: isThird ? 1024 : 4096 });
      return layerOf(
        index,
        hiddenSize,
        groupedQueryAttention({
          prefix: `model.layers.${index}.self_attn`,
          ...shape,
          headNorms: isThird,
          ...(windowTokens !== undefined && { windowTokens }),
        }),
        gatedMlp(`model.layers.${index}.mlp`, hiddenSize, fields.integer('intermediate_size')),
        architecture === 'gemma' ? [] : norms,
      );
    },
  );
  return { architecture, ...common, tiedEmbeddings: common.tiedEmbeddings ?? true };
};

/** Gemma 3n: as Gemma 4 E2B and E4B, with a low-rank path beside each layer and projections between its four streams. */
export const gemma3n = (fields: ConfigFields, architecture: string): ModelShape => {
  const shape = gemma4(
    defaulted(underUsualNames(fields), { sliding_window_pattern: 5 }),
    architecture,
  );
  const { hiddenSize } = shape;
  const rank = fields.integer('laurel_rank', { fallback: 64 });
  const streams = fields.integer('altup_num_inputs', { fallback: 4 });
  const layers = shape.layers.map((layer, index) => ({
    ...layer,
    modules: [
      ...layer.modules,
      matrix(`model.layers.${index}.laurel.linear_left`, [rank, hiddenSize], 'Nothing'),
      matrix(`model.layers.${index}.laurel.linear_right`, [hiddenSize, rank], 'Nothing'),
    ],
  }));
  const between = matrix(
    'model.altup_projections',
    [2 * (streams - 1) * hiddenSize, hiddenSize],
    'Nothing',
  );
  return { ...shape, layers, other: [...shape.other, between] };
};

/** Fields with other fallbacks than the common ones. */
const defaulted = (
  fields: ConfigFields,
  defaults: Readonly<Record<string, number>>,
): ConfigFields => ({
  ...fields,
  integer: (key, options) => {
    const fallback = defaults[key];
    return fields.integer(key, fallback === undefined ? options : { ...options, fallback });
  },
});

/**
 * Gemma 4: full layers have wider heads, fewer of them for keys, and keys that serve as values; the last layers
 * may share the cache of earlier ones; a mixture of experts runs beside the dense MLP.
 */
export const gemma4 = (fields: ConfigFields, architecture: string): ModelShape => {
  const hiddenSize = fields.integer('hidden_size');
  const perLayerSize = fields.count('hidden_size_per_layer_input');
  const common = commonShape(fields, (index) => {
    const prefix = `model.layers.${index}`;
    const layer = layerOf(
      index,
      hiddenSize,
      gemma4Attention(fields, index),
      gemma4Mlp(fields, index),
      norms,
    );
    const perLayer: ModelModule[] =
      perLayerSize === 0
        ? []
        : [
            matrix(`${prefix}.per_layer_input_gate`, [perLayerSize, hiddenSize], 'Nothing'),
            matrix(`${prefix}.per_layer_projection`, [hiddenSize, perLayerSize], 'Nothing'),
            vector(`${prefix}.post_per_layer_input_norm`, hiddenSize),
          ];
    return {
      ...layer,
      modules: [...layer.modules, ...perLayer, vector(`${prefix}.layer_scalar`, 1)],
    };
  });
  const perLayerWidth = perLayerSize * common.layers.length;
  const perLayerEmbedding: ModelModule[] =
    perLayerSize === 0
      ? []
      : [
          matrix(
            'model.embed_tokens_per_layer',
            [
              fields.integer('vocab_size_per_layer_input', { fallback: common.vocabSize }),
              perLayerWidth,
            ],
            'Nothing',
          ),
          matrix('model.per_layer_model_projection', [perLayerWidth, hiddenSize], 'Nothing'),
        ];
  return {
    architecture,
    ...common,
    tiedEmbeddings: common.tiedEmbeddings ?? true,
    other: [...common.other, ...perLayerEmbedding],
  };
};

const gemma4Attention = (fields: ConfigFields, index: number): MixerShape => {
  const windowTokens = windowOf(fields, index, {
    pattern: fields.integer('sliding_window_pattern', { fallback: 6 }),
    fallback: 512,
  });
  const isFull = windowTokens === undefined;
  const headDim = fields.integer('head_dim', { fallback: 256 });
  const heads = fields.integer('num_attention_heads');
  const sharedValues = isFull && fields.flag('attention_k_eq_v') === true;
  const kvHeads = fields.integer('num_key_value_heads', { fallback: heads });
  const shape = groupedQueryAttention({
    prefix: `model.layers.${index}.self_attn`,
    hiddenSize: fields.integer('hidden_size'),
    heads,
    kvHeads: sharedValues
      ? fields.integer('num_global_key_value_heads', { fallback: kvHeads })
      : kvHeads,
    headDim: isFull ? fields.integer('global_head_dim', { fallback: headDim }) : headDim,
    headNorms: true,
    sharedValues,
    ...(isFull ? {} : { windowTokens }),
  });
  const firstShared = fields.integer('num_hidden_layers') - fields.count('num_kv_shared_layers');
  if (index < firstShared) return shape;
  return {
    ...shape,
    modules: shape.modules.filter(({ name }) => !/\.[kv]_(proj|norm)$/.test(name)),
    cache: { ...shape.cache, elementsPerToken: 0 },
  };
};

const gemma4Mlp = (fields: ConfigFields, index: number): MlpShape => {
  const prefix = `model.layers.${index}`;
  const hiddenSize = fields.integer('hidden_size');
  const isShared =
    index >= fields.integer('num_hidden_layers') - fields.count('num_kv_shared_layers');
  const double = isShared && fields.flag('use_double_wide_mlp') === true;
  const width = fields.integer('intermediate_size') * (double ? 2 : 1);
  const dense = gatedMlp(`${prefix}.mlp`, hiddenSize, width);
  if (fields.flag('enable_moe_block') !== true) return dense;
  const routed = routedMlp({
    prefix,
    hiddenSize,
    width: fields.integer('moe_intermediate_size'),
    count: fields.integer('num_experts'),
    perToken: fields.integer('top_k_experts'),
    router: { name: 'router.proj' },
    expertsName: 'experts.switch_glu',
  });
  const moreNorms = ['router.scale', ...norms.map((name) => `${name}_2`), `${norms[1]}_1`];
  return {
    ...routed,
    modules: [
      ...dense.modules,
      ...routed.modules,
      ...moreNorms.map((name) => vector(`${prefix}.${name}`, hiddenSize)),
    ],
    divisors: [...dense.divisors, ...routed.divisors],
    groupCuts: [...dense.groupCuts, ...routed.groupCuts],
  };
};
