import type { ConfigFields } from '../config-fields.ts';
import { matrix, vector } from '../model-shape.ts';
import type { LayerShape, ModelShape } from '../model-shape.ts';
import { groupedQueryAttention } from './attention.ts';
import type { MixerShape } from './attention.ts';
import { gatedMlp } from './mlp.ts';
import type { MlpShape } from './mlp.ts';

/** What almost every family has, by the names that almost every config.json uses. */
export const commonShape = (
  fields: ConfigFields,
  layer: (index: number) => LayerShape,
): Omit<ModelShape, 'architecture'> => {
  const hiddenSize = fields.integer('hidden_size');
  const vocabSize = fields.integer('vocab_size');
  const layers = fields.integer('num_hidden_layers', { max: 4096 });
  return {
    hiddenSize,
    vocabSize,
    tiedEmbeddings: fields.flag('tie_word_embeddings'),
    maxPositions: fields.integer('max_position_embeddings', { fallback: 2048 }),
    layers: Array.from({ length: layers }, (_, index) => layer(index)),
    embedding: [matrix('model.embed_tokens', [vocabSize, hiddenSize], 'Nothing')],
    head: [matrix('lm_head', [vocabSize, hiddenSize], 'Rows')],
    other: [vector('model.norm', hiddenSize)],
  };
};

/** Heads, key-value heads and the width of a head, checked against each other. */
export const headsOf = (fields: ConfigFields, hiddenSize: number) => {
  const heads = fields.integer('num_attention_heads');
  const kvHeads = fields.integer('num_key_value_heads', { fallback: heads });
  const headDim = fields.integer('head_dim', { fallback: hiddenSize / heads });
  if (!Number.isInteger(headDim)) {
    throw fields.invalid(
      `hidden_size ${hiddenSize} is no multiple of num_attention_heads ${heads}`,
    );
  }
  if (heads % kvHeads !== 0) {
    throw fields.invalid(
      `num_attention_heads ${heads} is no multiple of num_key_value_heads ${kvHeads}`,
    );
  }
  return { heads, kvHeads, headDim };
};

/** A mixer, an MLP and a norm before each. */
export const layerOf = (
  index: number,
  hiddenSize: number,
  mixer: MixerShape,
  mlp: MlpShape & Pick<LayerShape, 'experts'>,
): LayerShape => ({
  ...mixer,
  modules: [
    vector(`model.layers.${index}.input_layernorm`, hiddenSize),
    ...mixer.modules,
    vector(`model.layers.${index}.post_attention_layernorm`, hiddenSize),
    ...mlp.modules,
  ],
  ...(mlp.experts ? { experts: mlp.experts } : {}),
  divisors: [...mixer.divisors, ...mlp.divisors],
  groupCuts: [...mixer.groupCuts, ...mlp.groupCuts],
});

/** Llama and Qwen2. */
export const llamaShape = (fields: ConfigFields, architecture: string): ModelShape => {
  const hiddenSize = fields.integer('hidden_size');
  const width = fields.integer('intermediate_size');
  const heads = headsOf(fields, hiddenSize);
  const llamaBias = architecture === 'llama' && fields.flag('attention_bias') === true;
  const mlpBias = fields.flag('mlp_bias') === true;
  const common = commonShape(fields, (index) =>
    layerOf(
      index,
      hiddenSize,
      groupedQueryAttention({
        prefix: `model.layers.${index}.self_attn`,
        hiddenSize,
        ...heads,
        inputBias: llamaBias || architecture === 'qwen2',
        outputBias: llamaBias,
      }),
      gatedMlp(`model.layers.${index}.mlp`, hiddenSize, width, { bias: mlpBias }),
    ),
  );
  return { architecture, ...common };
};
