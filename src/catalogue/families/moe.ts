import type { ConfigFields } from '../config-fields.ts';
import { matrix, vector } from '../model-shape.ts';
import type { ModelShape } from '../model-shape.ts';
import { groupedQueryAttention } from './attention.ts';
import type { GroupedQueryOptions, MixerShape } from './attention.ts';
import { commonShape, headsOf, layerOf, windowOf } from './common.ts';
import { deepseekMlp, gatedMlp, routedMlp } from './mlp.ts';
import type { MlpShape } from './mlp.ts';

type Traits = Pick<GroupedQueryOptions, 'inputBias' | 'outputBias' | 'headNorms' | 'windowTokens'>;

/** Grouped-query attention with an MLP that each family says. */
const withMlp =
  (
    traits: (fields: ConfigFields, index: number) => Traits,
    mlp: (fields: ConfigFields, index: number, hiddenSize: number) => MlpShape,
  ) =>
  (fields: ConfigFields, architecture: string): ModelShape => {
    const hiddenSize = fields.integer('hidden_size');
    const heads = headsOf(fields, hiddenSize);
    const common = commonShape(fields, (index) =>
      layerOf(
        index,
        hiddenSize,
        groupedQueryAttention({
          prefix: `model.layers.${index}.self_attn`,
          hiddenSize,
          ...heads,
          ...traits(fields, index),
        }),
        mlp(fields, index, hiddenSize),
      ),
    );
    return { architecture, ...common };
  };

const attentionBias = (fields: ConfigFields) => fields.flag('attention_bias') === true;

/** Qwen2 and Qwen3 MoE, and the hybrids after them: dense layers by list or stride, perhaps a shared expert. */
export const qwenMlp = (fields: ConfigFields, index: number, hiddenSize: number): MlpShape => {
  const prefix = `model.layers.${index}.mlp`;
  const count = fields.count('num_experts');
  const stride = fields.integer('decoder_sparse_step', { fallback: 1 });
  const isDense = fields.list('mlp_only_layers')?.includes(index) || (index + 1) % stride !== 0;
  if (count === 0 || isDense) {
    return gatedMlp(prefix, hiddenSize, fields.integer('intermediate_size'));
  }
  const sharedWidth = fields.count('shared_expert_intermediate_size');
  return routedMlp({
    prefix,
    hiddenSize,
    width: fields.integer('moe_intermediate_size'),
    count,
    perToken: fields.integer('num_experts_per_tok'),
    ...(sharedWidth > 0 && {
      shared: { name: 'shared_expert', width: sharedWidth, gate: 'shared_expert_gate' },
    }),
  });
};

export const qwen2Moe = withMlp(() => ({ inputBias: true }), qwenMlp);
export const qwen3Moe = withMlp(
  (fields) => ({
    headNorms: true,
    inputBias: attentionBias(fields),
    outputBias: attentionBias(fields),
  }),
  qwenMlp,
);

export const mixtral = withMlp(
  () => ({}),
  (fields, index, hiddenSize) =>
    routedMlp({
      prefix: `model.layers.${index}.block_sparse_moe`,
      hiddenSize,
      width: fields.integer('intermediate_size'),
      count: fields.integer('num_local_experts'),
      perToken: fields.integer('num_experts_per_tok'),
    }),
);

/** Llama 4: chunked attention but for every fourth layer; experts in each, or each second, layer. */
export const llama4 = withMlp(
  (fields, index) => {
    const chunk = fields.count('attention_chunk_size');
    const isChunked = chunk > 0 && (index + 1) % 4 !== 0;
    return isChunked ? { windowTokens: chunk } : {};
  },
  (fields, index, hiddenSize) => {
    const prefix = `model.layers.${index}.feed_forward`;
    const width = fields.integer('intermediate_size');
    const step = fields.integer('interleave_moe_layer_step', { fallback: 1 });
    if ((index + 1) % step !== 0) {
      const denseWidth = fields.integer('intermediate_size_mlp', { fallback: width });
      return gatedMlp(prefix, hiddenSize, denseWidth);
    }
    return routedMlp({
      prefix,
      hiddenSize,
      width,
      count: fields.integer('num_local_experts'),
      perToken: fields.integer('num_experts_per_tok', { fallback: 1 }),
      router: { name: 'router' },
      expertsName: 'experts',
      shared: { name: 'shared_expert', width },
    });
  },
);

/** GLM-4.5 to 4.7. */
export const glm4Moe = withMlp(
  (fields) => ({
    inputBias: attentionBias(fields),
    headNorms: fields.flag('use_qk_norm') === true,
  }),
  (fields, index, hiddenSize) => deepseekMlp(fields, index, hiddenSize),
);

export const gptOss = (fields: ConfigFields, architecture: string): ModelShape => {
  const shape = withMlp(
    (_, index) => {
      // Even layers have the window unless layer_types says otherwise.
      const windowTokens = windowOf(fields, index, { pattern: 2, fallback: 128 });
      return {
        inputBias: true,
        outputBias: true,
        ...(windowTokens !== undefined && { windowTokens }),
      };
    },
    (_, index, hiddenSize) =>
      routedMlp({
        prefix: `model.layers.${index}.mlp`,
        hiddenSize,
        width: fields.integer('intermediate_size'),
        count: fields.integer('num_local_experts'),
        perToken: fields.integer('num_experts_per_tok'),
        router: { name: 'router', bias: true },
        expertsName: 'experts',
        bias: true,
      }),
  )(fields, architecture);
  const sinks = fields.integer('num_attention_heads');
  return {
    ...shape,
    layers: shape.layers.map((layer, index) => ({
      ...layer,
      modules: [...layer.modules, vector(`model.layers.${index}.self_attn.sinks`, sinks, 'Rows')],
    })),
  };
};

/** M2: experts in every layer, norms over all queries and keys. M3: the first layers dense, a shared expert. */
export const minimax = withMlp(
  (fields) => ({ headNorms: fields.text('qk_norm_type') === 'per_head' }),
  (fields, index, hiddenSize) => {
    const frequency = fields.list('moe_layer_freq');
    if (frequency?.[index] === 0) {
      const width = fields.integer('dense_intermediate_size');
      return gatedMlp(`model.layers.${index}.mlp`, hiddenSize, width);
    }
    const width = fields.integer('moe_intermediate_size', {
      fallback: fields.integer('intermediate_size'),
    });
    const shared = fields.count('shared_intermediate_size');
    const heads = headsOf(fields, hiddenSize);
    const perLayer = fields.text('qk_norm_type') === 'per_layer';
    const prefix = `model.layers.${index}`;
    const mlp = routedMlp({
      prefix: `${prefix}.block_sparse_moe`,
      hiddenSize,
      width,
      count: fields.integer('num_local_experts'),
      perToken: fields.integer('num_experts_per_tok'),
      routingBias: true,
      ...(shared > 0 && { shared: { name: 'shared_experts', width: shared } }),
    });
    const norms = [heads.heads, heads.kvHeads].map((count, at) =>
      vector(`${prefix}.self_attn.${at === 0 ? 'q' : 'k'}_norm`, count * heads.headDim, 'Rows'),
    );
    return { ...mlp, modules: [...mlp.modules, ...(perLayer ? norms : [])] };
  },
);

/** Step 3.5 and 3.7, by the names of either release. */
export const step = (fields: ConfigFields, architecture: string): ModelShape => {
  const hiddenSize = fields.integer('hidden_size');
  const routed = new Set(fields.text('moe_layers_enum')?.split(',').map(Number));
  const dense = fields.count('first_k_dense_replace', { fallback: 3 });
  const other = fields.nested('attention_other_setting');
  const attention = (index: number): MixerShape => {
    const windowTokens = windowOf(fields, index, { pattern: 4, fallback: 512 });
    const setting = (windowTokens !== undefined && other) || fields;
    const prefix = `model.layers.${index}.self_attn`;
    const heads = setting.integer('num_attention_heads');
    const kvHeads = setting.integer('num_attention_groups', {
      fallback: setting.count('num_key_value_heads') || heads,
    });
    const headDim = fields.integer('head_dim');
    const shape = groupedQueryAttention({
      prefix,
      hiddenSize,
      heads,
      kvHeads,
      headDim,
      headNorms: true,
      ...(windowTokens !== undefined && { windowTokens }),
    });
    const gate = matrix(`${prefix}.g_proj`, [heads, hiddenSize], 'Rows');
    const gated = fields.flag('use_head_wise_attn_gate') === true;
    return gated ? { ...shape, modules: [...shape.modules, gate] } : shape;
  };
  const mlp = (index: number): MlpShape => {
    const isRouted = routed.size > 0 ? routed.has(index) : index >= dense;
    const prefix = `model.layers.${index}.mlp`;
    if (!isRouted) return gatedMlp(prefix, hiddenSize, fields.integer('intermediate_size'));
    return routedMlp({
      prefix,
      hiddenSize,
      width: fields.integer('moe_intermediate_size'),
      count: fields.integer('moe_num_experts', { fallback: fields.count('num_experts') || 288 }),
      perToken: fields.integer('moe_top_k', {
        fallback: fields.count('num_experts_per_tok') || 8,
      }),
      router: { name: 'gate.gate' },
      routingBias: true,
      shared: { name: 'share_expert', width: fields.integer('share_expert_dim') },
    });
  };
  const common = commonShape(fields, (index) =>
    layerOf(index, hiddenSize, attention(index), mlp(index)),
  );
  return { architecture, ...common };
};
