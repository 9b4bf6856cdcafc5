import type { ConfigFields } from '../config-fields.ts';
import { vector } from '../model-shape.ts';
import type { ModelShape } from '../model-shape.ts';
import { groupedQueryAttention } from './attention.ts';
import { commonShape, headsOf, layerOf } from './common.ts';
import { gatedMlp } from './mlp.ts';

/** How the Llama-like families differ. */
interface DenseTraits {
  inputBias?: (fields: ConfigFields) => boolean;
  outputBias?: (fields: ConfigFields) => boolean;
  /** Norms over each head's queries and keys. */
  headNorms?: (fields: ConfigFields) => boolean;
  tied?: boolean;
  /** Window of this layer, if it has one. */
  window?: (fields: ConfigFields, index: number) => number | undefined;
}

const attentionBias = (fields: ConfigFields) => fields.flag('attention_bias') === true;

const dense =
  (traits: DenseTraits) =>
  (fields: ConfigFields, architecture: string): ModelShape => {
    const hiddenSize = fields.integer('hidden_size');
    const width = fields.integer('intermediate_size');
    const heads = headsOf(fields, hiddenSize);
    const mlpBias = fields.flag('mlp_bias') === true;
    const common = commonShape(fields, (index) => {
      const windowTokens = traits.window?.(fields, index);
      return layerOf(
        index,
        hiddenSize,
        groupedQueryAttention({
          prefix: `model.layers.${index}.self_attn`,
          hiddenSize,
          ...heads,
          inputBias: (traits.inputBias ?? attentionBias)(fields),
          outputBias: (traits.outputBias ?? attentionBias)(fields),
          headNorms: traits.headNorms?.(fields) === true,
          ...(windowTokens !== undefined && { windowTokens }),
        }),
        gatedMlp(`model.layers.${index}.mlp`, hiddenSize, width, { bias: mlpBias }),
      );
    });
    const tied = common.tiedEmbeddings ?? traits.tied;
    return { architecture, ...common, tiedEmbeddings: tied };
  };

const yes = () => true;
const no = () => false;

export const llama = dense({});
export const qwen2 = dense({ inputBias: yes, outputBias: no });
export const qwen3 = dense({ headNorms: yes });
export const mistral = dense({ inputBias: no, outputBias: no });
/** Attention and MLP side by side behind one norm. */
const parallel =
  (family: ReturnType<typeof dense>) =>
  (fields: ConfigFields, architecture: string): ModelShape => {
    const shape = family(fields, architecture);
    const layers = shape.layers.map((layer) => ({
      ...layer,
      modules: layer.modules.filter(({ name }) => !name.endsWith('post_attention_layernorm')),
    }));
    return { ...shape, layers };
  };

/** Biases on queries, keys and values, and on the output only if it is said. */
export const seedOss = dense({
  outputBias: (fields) => fields.flag('attention_out_bias') === true,
});

export const cohere = parallel(
  dense({ headNorms: (fields) => fields.flag('use_qk_norm') === true, tied: true }),
);
/** Three layers with a window, then one without. */
export const cohere2 = parallel(
  dense({
    tied: true,
    window: (fields, index) =>
      (index + 1) % fields.integer('sliding_window_pattern', { fallback: 4 }) === 0
        ? undefined
        : fields.integer('sliding_window', { fallback: 4096 }),
  }),
);

/** GLM-4-0414: norms around attention and MLP alike, biases on queries, keys and values. */
export const glm4 = (fields: ConfigFields, architecture: string): ModelShape => {
  const shape = dense({ outputBias: no })(fields, architecture);
  const layers = shape.layers.map((layer, index) => ({
    ...layer,
    modules: [
      ...layer.modules,
      ...['post_self_attn_layernorm', 'post_mlp_layernorm'].map((name) =>
        vector(`model.layers.${index}.${name}`, shape.hiddenSize),
      ),
    ],
  }));
  return { ...shape, layers };
};

/** Norms over all queries and all keys. */
export const olmo2 = (fields: ConfigFields, architecture: string): ModelShape => {
  const shape = llama(fields, architecture);
  const { heads, kvHeads, headDim } = headsOf(fields, shape.hiddenSize);
  const layers = shape.layers.map((layer, index) => ({
    ...layer,
    modules: [
      ...layer.modules,
      vector(`model.layers.${index}.self_attn.q_norm`, heads * headDim),
      vector(`model.layers.${index}.self_attn.k_norm`, kvHeads * headDim),
    ],
  }));
  return { ...shape, layers };
};
