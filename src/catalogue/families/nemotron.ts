import type { ConfigFields } from '../config-fields.ts';
import { matrix, vector } from '../model-shape.ts';
import type { LayerShape, ModelShape } from '../model-shape.ts';
import { groupedQueryAttention } from './attention.ts';
import { commonShape, headsOf } from './common.ts';
import { mamba2, noMixer } from './linear.ts';
import { gatedMlp, routedMlp } from './mlp.ts';
import type { MlpShape } from './mlp.ts';

/** Nemotron-H: each layer is one of Mamba (M), attention (*), MLP (-) or experts (E), by a pattern. */
export const nemotronH = (fields: ConfigFields, architecture: string): ModelShape => {
  const pattern = patternOf(fields);
  const hiddenSize = fields.integer('hidden_size');
  const common = commonShape(
    fields,
    (index) => {
      const layer = layerByKind(fields, pattern[index] ?? '', index);
      return {
        ...layer,
        modules: [vector(`model.layers.${index}.norm`, hiddenSize), ...layer.modules],
        exchanges: 1,
      };
    },
    { layers: pattern.length },
  );
  return { architecture, ...common };
};

const kindOfBlock: Readonly<Record<string, string>> = {
  mamba: 'M',
  attention: '*',
  moe: 'E',
  mlp: '-',
};

const patternOf = (fields: ConfigFields): string => {
  const pattern =
    fields.text('hybrid_override_pattern') ??
    fields
      .list('layers_block_type')
      ?.map((type) => kindOfBlock[String(type)] ?? '?')
      .join('');
  if (pattern !== undefined && /^[M*E-]+$/.test(pattern)) return pattern;
  throw fields.invalid('hybrid_override_pattern: expected one of M, *, E, - for each layer');
};

const layerByKind = (fields: ConfigFields, kind: string, index: number): LayerShape => {
  const prefix = `model.layers.${index}.mixer`;
  const hiddenSize = fields.integer('hidden_size');
  if (kind === 'M') {
    return mamba2(prefix, hiddenSize, {
      heads: fields.integer('mamba_num_heads'),
      headDim: fields.integer('mamba_head_dim'),
      groups: fields.integer('n_groups', { fallback: 1 }),
      state: fields.integer('ssm_state_size'),
      kernel: fields.integer('conv_kernel', { fallback: 4 }),
    });
  }
  if (kind === '*') {
    return groupedQueryAttention({ prefix, hiddenSize, ...headsOf(fields, hiddenSize) });
  }
  const width = fields.integer('intermediate_size');
  const mlp =
    kind === 'E' ? experts(fields, prefix) : gatedMlp(prefix, hiddenSize, width, { gate: false });
  return { ...noMixer, ...mlp };
};

/** Up and down only; in the larger models the routed experts work in a narrower space. */
const experts = (fields: ConfigFields, prefix: string): MlpShape => {
  const hiddenSize = fields.integer('hidden_size');
  const latent = fields.count('moe_latent_size');
  const shared = fields.count('n_shared_experts');
  const mlp = routedMlp({
    prefix,
    hiddenSize,
    ...(latent > 0 && { expertHiddenSize: latent }),
    width: fields.integer('moe_intermediate_size'),
    count: fields.integer('n_routed_experts'),
    perToken: fields.integer('num_experts_per_tok'),
    gate: false,
    router: { plain: true },
    routingBias: true,
    ...(shared > 0 && {
      shared: {
        name: 'shared_experts',
        width: fields.integer('moe_shared_expert_intermediate_size') * shared,
      },
    }),
  });
  if (latent === 0) return mlp;
  return {
    ...mlp,
    modules: [
      ...mlp.modules,
      matrix(`${prefix}.fc1_latent_proj`, [latent, hiddenSize], 'Nothing'),
      matrix(`${prefix}.fc2_latent_proj`, [hiddenSize, latent], 'Nothing'),
    ],
  };
};
