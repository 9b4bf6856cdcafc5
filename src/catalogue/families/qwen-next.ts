import type { ConfigFields } from '../config-fields.ts';
import type { ModelShape } from '../model-shape.ts';
import { groupedQueryAttention } from './attention.ts';
import { commonShape, headsOf, layerOf } from './common.ts';
import { gatedDelta } from './linear.ts';
import { qwenMlp } from './moe.ts';

/** Qwen3-Next and Qwen3.5: linear attention, and full attention with an output gate in every fourth layer. */
export const qwenNext = (fields: ConfigFields, architecture: string): ModelShape => {
  const hiddenSize = fields.integer('hidden_size');
  const interval = fields.integer('full_attention_interval', { fallback: 4 });
  const types = fields.list('layer_types');
  const isFull = (index: number) =>
    types ? types[index] === 'full_attention' : (index + 1) % interval === 0;
  const heads = headsOf(fields, hiddenSize);
  const common = commonShape(fields, (index) => {
    const prefix = `model.layers.${index}`;
    const mixer = isFull(index)
      ? groupedQueryAttention({
          prefix: `${prefix}.self_attn`,
          hiddenSize,
          ...heads,
          headNorms: true,
          outputGate: fields.flag('attn_output_gate') !== false,
        })
      : gatedDelta(fields, `${prefix}.linear_attn`, hiddenSize);
    return layerOf(index, hiddenSize, mixer, qwenMlp(fields, index, hiddenSize));
  });
  return { architecture, ...common };
};
