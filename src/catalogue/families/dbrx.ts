import type { ConfigFields } from '../config-fields.ts';
import type { ModelShape } from '../model-shape.ts';
import { groupedQueryAttention } from './attention.ts';
import { ends, layerOf } from './common.ts';
import { routedMlp } from './mlp.ts';

/** DBRX, whose config.json has names of its own. */
export const dbrx = (fields: ConfigFields, architecture: string): ModelShape => {
  const hiddenSize = fields.integer('d_model');
  const vocabSize = fields.integer('vocab_size');
  const heads = fields.integer('n_heads');
  const attention = fields.nested('attn_config');
  const experts = fields.nested('ffn_config');
  if (!attention || !experts) {
    throw fields.invalid('attn_config and ffn_config: expected objects');
  }
  if (hiddenSize % heads !== 0) {
    throw fields.invalid(`d_model ${hiddenSize} is no multiple of n_heads ${heads}`);
  }
  const layers = Array.from({ length: fields.integer('n_layers', { max: 4096 }) }, (_, index) =>
    layerOf(
      index,
      hiddenSize,
      groupedQueryAttention({
        prefix: `model.layers.${index}.attn`,
        hiddenSize,
        heads,
        kvHeads: attention.integer('kv_n_heads', { fallback: heads }),
        headDim: hiddenSize / heads,
      }),
      routedMlp({
        prefix: `model.layers.${index}.ffn`,
        hiddenSize,
        width: experts.integer('ffn_hidden_size'),
        count: experts.integer('moe_num_experts'),
        perToken: experts.integer('moe_top_k'),
        router: { name: 'router.layer' },
      }),
    ),
  );
  return {
    architecture,
    hiddenSize,
    vocabSize,
    tiedEmbeddings: fields.flag('tie_word_embeddings'),
    maxPositions: fields.integer('max_seq_len', { fallback: 2048 }),
    layers,
    ...ends(hiddenSize, vocabSize),
  };
};
