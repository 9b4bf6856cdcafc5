import type { ConfigFields } from '../config-fields.ts';
import type { ModelShape } from '../model-shape.ts';
import { groupedQueryAttention } from './attention.ts';
import type { MixerShape } from './attention.ts';
import { commonShape, layerOf, unlimitedPositions } from './common.ts';
import { underUsualNames } from './field-names.ts';
import { latentAttention } from './latent.ts';
import { gatedDelta, lightningAttention, mamba1, mamba2, shortConvolution } from './linear.ts';
import { gatedMlp, routedMlp } from './mlp.ts';
import type { MlpShape } from './mlp.ts';

/** MLPs of up and down alone. */
const ungated = new Set([
  'apertus',
  'arcee',
  'falcon',
  'gpt2',
  'gpt_bigcode',
  'gpt_neox',
  'nemotron',
  'phi',
  'starcoder2',
]);

/**
 * A decoder as most config.json files describe it: in each layer attention (grouped queries, or a latent where
 * `kv_lora_rank` is given) or what the file says instead, and an MLP or experts. Exact, but for some norms and biases,
 * for the families that are listed with it; for others a guess that takes layers of no known sort for attention over
 * all positions.
 */
export const byFields = (given: ConfigFields, architecture: string): ModelShape => {
  const fields = underUsualNames(given);
  const hiddenSize = fields.integer('hidden_size');
  const shape = commonShape(fields, (index) =>
    layerOf(index, hiddenSize, mixer(fields, index), mlp(fields, index, architecture)),
  );
  const isLimited = fields.given('max_position_embeddings') !== undefined;
  return { architecture, ...shape, ...(isLimited ? {} : { maxPositions: unlimitedPositions }) };
};

/** Falcon H1: Mamba beside attention in each layer. */
export const falconH1 = (given: ConfigFields, architecture: string): ModelShape => {
  const fields = underUsualNames(given);
  const hiddenSize = fields.integer('hidden_size');
  const shape = commonShape(fields, (index) => {
    const prefix = `model.layers.${index}`;
    const attention = groupedQueries(fields, index);
    const mamba = mamba2(`${prefix}.mamba`, hiddenSize, mambaSizes(fields, hiddenSize));
    return layerOf(
      index,
      hiddenSize,
      {
        ...attention,
        modules: [...attention.modules, ...mamba.modules],
        cache: { ...attention.cache, stateBytes: mamba.cache.stateBytes },
        divisors: [...attention.divisors, ...mamba.divisors],
        groupCuts: [...attention.groupCuts, ...mamba.groupCuts],
      },
      mlp(fields, index, architecture),
    );
  });
  return { architecture, ...shape };
};

const mixer = (fields: ConfigFields, index: number): MixerShape => {
  const hiddenSize = fields.integer('hidden_size');
  const prefix = `model.layers.${index}`;
  switch (kindOf(fields, index)) {
    case 'conv':
      return shortConvolution(
        `${prefix}.conv`,
        hiddenSize,
        fields.integer('conv_L_cache', { fallback: 3 }),
      );
    case 'mamba':
      return mamba(fields, `${prefix}.mamba`, hiddenSize);
    case 'linear_attention':
      return linear(fields, index);
    default:
      return attention(fields, index);
  }
};

/** Of a layer, in the words of `layer_types`; other files give a list of attention layers or their period. */
const kindOf = (fields: ConfigFields, index: number): unknown => {
  const types = fields.list('layer_types') ?? fields.list('layers_block_type');
  if (types) return types[index];
  if (fields.list('attn_type_list')?.[index] === 0) return 'linear_attention';
  const attentionLayers = fields.list('full_attn_idxs');
  if (attentionLayers) return attentionLayers.includes(index) ? 'full_attention' : 'conv';
  const period = fields.count('attn_layer_period');
  if (period > 0 && index % period !== fields.count('attn_layer_offset')) return 'mamba';
  return 'full_attention';
};

const attention = (fields: ConfigFields, index: number): MixerShape => {
  const isLatent = ['kv_lora_rank', 'qk_nope_head_dim', 'v_head_dim'].every(
    (key) => fields.given(key) !== undefined,
  );
  return isLatent
    ? latentAttention(fields, `model.layers.${index}.self_attn`, fields.integer('hidden_size'))
    : groupedQueries(fields, index);
};

const groupedQueries = (fields: ConfigFields, index: number): MixerShape => {
  const isWindow = kindOf(fields, index) === 'sliding_attention';
  const windowTokens = isWindow ? fields.count('sliding_window') : 0;
  return groupedQueryAttention({
    prefix: `model.layers.${index}.self_attn`,
    hiddenSize: fields.integer('hidden_size'),
    ...headsOf(fields),
    ...(windowTokens > 0 && { windowTokens }),
  });
};

const headsOf = (fields: ConfigFields) => {
  const heads = fields.integer('num_attention_heads');
  const fallback = fields.given('multi_query') === true ? 1 : heads;
  return {
    heads,
    kvHeads: fields.integer('num_key_value_heads', { fallback }),
    headDim: fields.integer('head_dim', {
      fallback: Math.ceil(fields.integer('hidden_size') / heads),
    }),
  };
};

const linear = (fields: ConfigFields, index: number): MixerShape => {
  const hiddenSize = fields.integer('hidden_size');
  const prefix = `model.layers.${index}.self_attn`;
  return fields.given('linear_num_key_heads') === undefined
    ? lightningAttention(prefix, hiddenSize, headsOf(fields))
    : gatedDelta(fields, prefix, hiddenSize);
};

/** Mamba 2 has heads, Mamba 1 has not. */
const mamba = (fields: ConfigFields, prefix: string, hiddenSize: number): MixerShape => {
  if (fields.given('mamba_n_heads') !== undefined) {
    return mamba2(prefix, hiddenSize, mambaSizes(fields, hiddenSize));
  }
  const { state, kernel } = mambaSizes(fields, hiddenSize);
  return mamba1(prefix, hiddenSize, {
    width: hiddenSize * fields.integer('mamba_expand', { fallback: 2 }),
    state,
    kernel,
    stepRank: fields.integer('mamba_dt_rank', { fallback: Math.ceil(hiddenSize / 16) }),
  });
};

const mambaSizes = (fields: ConfigFields, hiddenSize: number) => {
  const heads = fields.integer('mamba_n_heads', { fallback: 1 });
  const width = fields.integer('mamba_d_ssm', {
    fallback: hiddenSize * fields.integer('mamba_expand', { fallback: 2 }),
  });
  return {
    heads,
    headDim: fields.integer('mamba_d_head', { fallback: Math.ceil(width / heads) }),
    groups: fields.integer('mamba_n_groups', { fallback: 1 }),
    state: fields.integer('mamba_d_state', { fallback: 16 }),
    kernel: fields.integer('mamba_d_conv', { fallback: 4 }),
  };
};

const mlp = (fields: ConfigFields, index: number, architecture: string): MlpShape => {
  const prefix = `model.layers.${index}.mlp`;
  const hiddenSize = fields.integer('hidden_size');
  const width = mlpWidth(fields, hiddenSize);
  const count = fields.count('num_experts');
  if (count <= 1 || isDense(fields, index)) {
    return gatedMlp(prefix, hiddenSize, width, { gate: !ungated.has(architecture) });
  }
  const expertWidth = fields.integer('moe_intermediate_size', { fallback: width });
  const sharedWidth =
    fields.count('shared_expert_intermediate_size') ||
    fields.count('n_shared_experts') * expertWidth;
  return routedMlp({
    prefix,
    hiddenSize,
    width: expertWidth,
    count,
    perToken: Math.min(count, fields.integer('num_experts_per_tok')),
    ...(sharedWidth > 0 && { shared: { name: 'shared_experts', width: sharedWidth } }),
  });
};

/** The first layers, or all but every so many-th. */
const isDense = (fields: ConfigFields, index: number): boolean => {
  const period = fields.integer('expert_layer_period', { fallback: 1 });
  const isSkipped = index % period !== fields.count('expert_layer_offset') % period;
  return index < fields.count('first_k_dense_replace') || isSkipped;
};

/** LFM2 says what two matrices would have, and has three. */
const mlpWidth = (fields: ConfigFields, hiddenSize: number): number => {
  const width = fields.integer('intermediate_size', { fallback: 4 * hiddenSize });
  if (fields.given('block_auto_adjust_ff_dim') !== true) return width;
  const multiple = fields.integer('block_multiple_of', { fallback: 256 });
  const factor = fields.given('block_ffn_dim_multiplier') ?? 1;
  if (typeof factor !== 'number' || !(factor > 0 && factor < 1024)) {
    throw fields.invalid('block_ffn_dim_multiplier: expected a number above 0 and below 1024');
  }
  return multiple * Math.max(1, Math.ceil((Math.floor((2 * width) / 3) * factor) / multiple));
};
