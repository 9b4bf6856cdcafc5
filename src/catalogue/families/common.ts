import type { ConfigFields } from '../config-fields.ts';
import { matrix, vector } from '../model-shape.ts';
import type { LayerShape, ModelShape } from '../model-shape.ts';
import type { MixerShape } from './attention.ts';
import type { MlpShape } from './mlp.ts';

/** Where a file says nothing, or nothing limits it, as much context is planned for as is asked for. */
export const unlimitedPositions = 2 ** 24;

/** What almost every family has, by the names that almost every config.json uses. */
export const commonShape = (
  fields: ConfigFields,
  layer: (index: number) => LayerShape,
  { layers = fields.integer('num_hidden_layers', { max: 4096 }) }: { layers?: number } = {},
): Omit<ModelShape, 'architecture'> => {
  const hiddenSize = fields.integer('hidden_size');
  const vocabSize = fields.integer('vocab_size');
  return {
    hiddenSize,
    vocabSize,
    tiedEmbeddings: fields.flag('tie_word_embeddings'),
    maxPositions: fields.integer('max_position_embeddings', { fallback: 2048 }),
    layers: Array.from({ length: layers }, (_, index) => layer(index)),
    ...ends(hiddenSize, vocabSize),
  };
};

/** Embedding, head and final norm. */
export const ends = (
  hiddenSize: number,
  vocabSize: number,
): Pick<ModelShape, 'embedding' | 'head' | 'other'> => ({
  embedding: [matrix('model.embed_tokens', [vocabSize, hiddenSize], 'Nothing')],
  head: [matrix('lm_head', [vocabSize, hiddenSize], 'Rows')],
  other: [vector('model.norm', hiddenSize)],
});

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

/** A mixer, an MLP and a norm before each; `norms` more of them where a family has more. */
export const layerOf = (
  index: number,
  hiddenSize: number,
  mixer: MixerShape,
  mlp: MlpShape,
  moreNorms: readonly string[] = [],
): LayerShape => ({
  ...mixer,
  modules: [
    vector(`model.layers.${index}.input_layernorm`, hiddenSize),
    ...mixer.modules,
    vector(`model.layers.${index}.post_attention_layernorm`, hiddenSize),
    ...mlp.modules,
    ...moreNorms.map((name) => vector(`model.layers.${index}.${name}`, hiddenSize)),
  ],
  ...(mlp.experts && { experts: mlp.experts }),
  divisors: [...mixer.divisors, ...mlp.divisors],
  groupCuts: [...mixer.groupCuts, ...mlp.groupCuts],
});

/**
 * The window of a layer: by layer_types where they are given, else every `pattern`-th layer is without one.
 */
export const windowOf = (
  fields: ConfigFields,
  index: number,
  { pattern, fallback }: { pattern: number; fallback: number },
): number | undefined => {
  const types = fields.list('layer_types');
  const sliding = types ? types[index] === 'sliding_attention' : (index + 1) % pattern !== 0;
  return sliding ? fields.integer('sliding_window', { fallback }) : undefined;
};
