import type { ConfigFields } from '../config-fields.ts';
import { vector } from '../model-shape.ts';
import type { ModelShape } from '../model-shape.ts';
import { commonShape, unlimitedPositions } from './common.ts';
import { underUsualNames } from './field-names.ts';
import { mamba1, mamba2 } from './linear.ts';

/** Mamba, Falcon Mamba and Mamba 2: a norm and a mixer in each layer, nothing else. */
export const mamba = (given: ConfigFields, architecture: string): ModelShape => {
  const fields = underUsualNames(given);
  const hiddenSize = fields.integer('hidden_size');
  const width = hiddenSize * fields.integer('expand', { fallback: 2 });
  const state = fields.integer('state_size', { fallback: 16 });
  const kernel = fields.integer('conv_kernel', { fallback: 4 });
  const mixer = (prefix: string) =>
    architecture === 'mamba2'
      ? mamba2(prefix, hiddenSize, {
          heads: given.integer('num_heads'),
          headDim: fields.integer('head_dim'),
          groups: fields.integer('n_groups', { fallback: 1 }),
          state,
          kernel,
        })
      : mamba1(prefix, hiddenSize, {
          width: fields.integer('intermediate_size', { fallback: width }),
          state,
          kernel,
          stepRank: fields.integer('time_step_rank', { fallback: Math.ceil(hiddenSize / 16) }),
        });
  const shape = commonShape(fields, (index) => {
    const layer = mixer(`model.layers.${index}.mixer`);
    const norm = vector(`model.layers.${index}.norm`, hiddenSize);
    return { ...layer, modules: [norm, ...layer.modules], exchanges: 1 };
  });
  return {
    architecture,
    ...shape,
    tiedEmbeddings: shape.tiedEmbeddings ?? true,
    maxPositions: unlimitedPositions,
  };
};
