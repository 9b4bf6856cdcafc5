import type { ConfigFields } from '../config-fields.ts';
import { matrix } from '../model-shape.ts';
import type { ModelShape } from '../model-shape.ts';
import { commonShape, layerOf } from './common.ts';
import { latentAttention } from './latent.ts';
import { kimiDelta } from './linear.ts';
import { gatedMlp, routedMlp } from './mlp.ts';
import type { MlpShape } from './mlp.ts';

/** Kimi Linear and K3: linear attention, latent attention in some layers, experts perhaps in a narrower space. */
export const kimiLinear = (fields: ConfigFields, architecture: string): ModelShape => {
  const hiddenSize = fields.integer('hidden_size');
  const linear = fields.nested('linear_attn_config');
  if (!linear) throw fields.invalid('linear_attn_config: expected an object, it is not there');
  // Counted from one.
  const linearLayers = new Set(linear.list('kda_layers'));
  const common = commonShape(fields, (index) => {
    const prefix = `model.layers.${index}.self_attn`;
    const mixer = linearLayers.has(index + 1)
      ? kimiDelta(fields, linear, prefix)
      : latentAttention(fields, prefix, hiddenSize);
    return layerOf(index, hiddenSize, mixer, mlpOf(fields, index));
  });
  const maxPositions = fields.integer('model_max_length', { fallback: common.maxPositions });
  return { architecture, ...common, maxPositions };
};

const mlpOf = (fields: ConfigFields, index: number): MlpShape => {
  const prefix = `model.layers.${index}.mlp`;
  const hiddenSize = fields.integer('hidden_size');
  const every = fields.integer('moe_layer_freq', { fallback: 1 });
  if (index < fields.count('first_k_dense_replace') || index % every !== 0) {
    return gatedMlp(prefix, hiddenSize, fields.integer('intermediate_size'));
  }
  const latent = fields.count('routed_expert_hidden_size');
  const width = fields.integer('moe_intermediate_size');
  const shared = fields.count('num_shared_experts');
  const mlp = routedMlp({
    prefix,
    hiddenSize,
    ...(latent > 0 && { expertHiddenSize: latent }),
    width,
    count: fields.integer('num_experts'),
    perToken: fields.integer('num_experts_per_token'),
    routingBias: true,
    ...(shared > 0 && { shared: { name: 'shared_experts', width: width * shared } }),
  });
  if (latent === 0) return mlp;
  return {
    ...mlp,
    modules: [
      ...mlp.modules,
      matrix(`${prefix}.latent_down_proj`, [latent, hiddenSize], 'Nothing'),
      matrix(`${prefix}.latent_up_proj`, [hiddenSize, latent], 'Nothing'),
    ],
  };
};
