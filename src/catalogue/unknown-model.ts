import type { ConfigFields } from './config-fields.ts';
import { unlimitedPositions } from './families/common.ts';
import type { LayerProfile } from './model-profile.ts';
import type { SizedModel } from './profile.ts';
import type { TensorFacts } from './safetensors-header.ts';

/**
 * What the headers of the weights tell of a model whose architecture is not known: which layer weighs what. All of
 * a layer is taken to be read for each token, and to be cached as plain attention would; nothing is divided.
 * Tensors without a layer's number in their name make one layer.
 */
export const sizeByTensors = (
  fields: ConfigFields,
  architecture: string,
  tensors: ReadonlyMap<string, TensorFacts>,
): SizedModel => {
  const text =
    (fields.given('hidden_size') === undefined && fields.nested('text_config')) || fields;
  const sizes = { layers: new Map<number, Weight>(), embedding: 0, head: 0, other: 0 };
  for (const [name, facts] of tensors) addTensor(sizes, name, facts);
  const [rows, columns] = embeddingShape(tensors);
  const hiddenSize = firstCount(text, ['hidden_size', 'd_model', 'n_embd', 'dim']) ?? columns;
  const vocabSize = firstCount(text, ['vocab_size', 'n_vocab']) ?? rows;
  const cache = attentionCache(text, hiddenSize);
  const ascending = [...sizes.layers].toSorted(([a], [b]) => a - b).map(([, weight]) => weight);
  const weights = ascending.length > 0 ? ascending : [{ bytes: 0, parameters: 0 }];
  return {
    architecture,
    hiddenSize,
    vocabSize,
    tiedEmbeddings: sizes.head === 0,
    maxPositions:
      firstCount(text, ['max_position_embeddings', 'max_seq_len', 'n_positions', 'n_ctx']) ??
      unlimitedPositions,
    totalBytes: [...tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0),
    layers: weights.map(({ bytes, parameters }): LayerProfile => ({
      mixer: 'FullAttention',
      shardedBytes: 0,
      replicatedBytes: bytes,
      activeParameters: parameters,
      cache: { elementsPerToken: cache, stateBytes: 0, shards: 1 },
      scoreElements: 2 * hiddenSize,
    })),
    divisors: [],
    embeddingBytes: sizes.embedding,
    headBytes: sizes.head,
    otherBytes: sizes.other,
  };
};

interface Weight {
  bytes: number;
  parameters: number;
}

interface Sizes {
  layers: Map<number, Weight>;
  embedding: number;
  head: number;
  other: number;
}

const addTensor = (sizes: Sizes, name: string, facts: TensorFacts): void => {
  const { bytes } = facts;
  const layer = layerOf(name);
  if (layer !== undefined) {
    const known = sizes.layers.get(layer) ?? { bytes: 0, parameters: 0 };
    const parameters = known.parameters + parametersOf(name, facts);
    sizes.layers.set(layer, { bytes: known.bytes + bytes, parameters });
  } else if (/(embed_tokens|wte|word_embeddings|tok_embeddings|embeddings)\./.test(name)) {
    sizes.embedding += bytes;
  } else if (/(^|\.)(lm_head|embed_out|output)\./.test(name)) sizes.head += bytes;
  else sizes.other += bytes;
};

/** Parts for pictures and sound have layers of their own, which are no stages of the decoder. */
const layerOf = (name: string): number | undefined => {
  if (/vision|visual|audio|image|encoder/i.test(name)) return undefined;
  const number = /(?:^|\.)(?:layers?|blocks?|h)\.(\d+)\./.exec(name)?.[1];
  return number === undefined ? undefined : Number(number);
};

/** Packed values are taken for 4 bits; scales and biases of quantisation are no parameters of their own. */
const parametersOf = (name: string, { dtype, shape }: TensorFacts): number => {
  if (/\.(scales|biases|qzeros|weight_scale(_inv)?)$/.test(name)) return 0;
  const elements = shape.reduce((product, size) => product * size, 1);
  return dtype === 'U32' || dtype === 'I32' ? elements * 8 : elements;
};

const embeddingShape = (tensors: ReadonlyMap<string, TensorFacts>): [number, number] => {
  const found = [...tensors].find(([name]) => /embed|wte/.test(name))?.[1].shape ?? [];
  return [found[0] ?? 1, found[1] ?? 1];
};

/** Keys and values of all heads, or of the key-value heads where the file has them. */
const attentionCache = (fields: ConfigFields, hiddenSize: number): number => {
  const heads = firstCount(fields, ['num_attention_heads', 'n_heads', 'n_head']);
  const kvHeads = firstCount(fields, ['num_key_value_heads', 'n_kv_heads', 'num_kv_heads']);
  const headDim =
    firstCount(fields, ['head_dim']) ??
    (heads === undefined ? undefined : Math.ceil(hiddenSize / heads));
  return headDim === undefined ? 2 * hiddenSize : 2 * (kvHeads ?? heads ?? 1) * headDim;
};

const firstCount = (fields: ConfigFields, keys: readonly string[]): number | undefined => {
  const key = keys.find((each) => fields.given(each) !== undefined);
  return key === undefined ? undefined : fields.integer(key);
};
