import type { ConfigFields } from '../config-fields.ts';
import type { ModelShape } from '../model-shape.ts';
import { commonShape, layerOf } from './common.ts';
import { latentAttention } from './latent.ts';
import { deepseekMlp } from './mlp.ts';

/** DeepSeek V2 to V3.2, Kimi K2, GLM-4.7-Flash, GLM-5. Layers for predicting several tokens are left out. */
export const deepseek = (fields: ConfigFields, architecture: string): ModelShape => {
  const hiddenSize = fields.integer('hidden_size');
  const routingBias = (fields.text('topk_method') ?? 'noaux_tc') === 'noaux_tc';
  const common = commonShape(fields, (index) =>
    layerOf(
      index,
      hiddenSize,
      latentAttention(fields, `model.layers.${index}.self_attn`, hiddenSize),
      deepseekMlp(fields, index, hiddenSize, { routingBias }),
    ),
  );
  return { architecture, ...common };
};
