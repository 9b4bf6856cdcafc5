import type { ConfigFields } from '../config-fields.ts';
import { matrix, vector } from '../model-shape.ts';
import type { LayerShape } from '../model-shape.ts';
import { headDivisors, outputCut } from './attention.ts';
import type { MixerShape } from './attention.ts';

const stateElementBytes = 4;
const convolutionElementBytes = 2;

/** Gated delta rule (Qwen3-Next, Qwen3.5): a state of key width × value width for each head, in f32. */
export const gatedDelta = (
  fields: ConfigFields,
  prefix: string,
  hiddenSize: number,
): MixerShape => {
  const keyHeads = fields.integer('linear_num_key_heads');
  const valueHeads = fields.integer('linear_num_value_heads');
  const keyDim = fields.integer('linear_key_head_dim');
  const valueDim = fields.integer('linear_value_head_dim');
  const kernel = fields.integer('linear_conv_kernel_dim', { fallback: 4 });
  const keys = keyHeads * keyDim;
  const values = valueHeads * valueDim;
  const channels = 2 * keys + values;
  return {
    mixer: 'Linear',
    modules: [
      matrix(`${prefix}.in_proj_qkv`, [channels, hiddenSize], 'Rows'),
      matrix(`${prefix}.in_proj_z`, [values, hiddenSize], 'Rows'),
      matrix(`${prefix}.in_proj_b`, [valueHeads, hiddenSize], 'Rows'),
      matrix(`${prefix}.in_proj_a`, [valueHeads, hiddenSize], 'Rows'),
      matrix(`${prefix}.conv1d`, [channels, kernel], 'Rows', { plain: true }),
      vector(`${prefix}.dt_bias`, valueHeads, 'Rows'),
      vector(`${prefix}.A_log`, valueHeads, 'Rows'),
      vector(`${prefix}.norm`, valueDim),
      matrix(`${prefix}.out_proj`, [hiddenSize, values], 'Columns'),
    ],
    cache: {
      elementsPerToken: 0,
      stateBytes: stateBytes(valueHeads * keyDim * valueDim, (kernel - 1) * channels),
      shards: keyHeads,
    },
    // The state is read and updated once for each token, whatever the context.
    scoreElements: 0,
    divisors: headDivisors(keyHeads),
    groupCuts: [outputCut(`${prefix}.out_proj`, valueHeads, valueDim)],
  };
};

/** Kimi Delta Attention: as the gated delta rule, with a gate for each channel of the keys. */
export const kimiDelta = (
  fields: ConfigFields,
  linear: ConfigFields,
  prefix: string,
): MixerShape => {
  const hiddenSize = fields.integer('hidden_size');
  const heads = linear.integer('num_heads', {
    fallback: fields.integer('num_attention_heads'),
  });
  const headDim = linear.integer('head_dim');
  const kernel = linear.integer('short_conv_kernel_size', { fallback: 4 });
  const width = heads * headDim;
  const conv = (name: string) =>
    matrix(`${prefix}.${name}.conv`, [width, kernel], 'Rows', { plain: true });
  const lowRank = (name: string) => [
    matrix(`${prefix}.${name}_a_proj`, [headDim, hiddenSize], 'Nothing'),
    matrix(`${prefix}.${name}_b_proj`, [width, headDim], 'Rows'),
  ];
  return {
    mixer: 'Linear',
    modules: [
      ...['q', 'k', 'v'].map((name) =>
        matrix(`${prefix}.${name}_proj`, [width, hiddenSize], 'Rows'),
      ),
      ...['q_conv', 'k_conv', 'v_conv'].map(conv),
      ...lowRank('f'),
      matrix(`${prefix}.b_proj`, [heads, hiddenSize], 'Rows'),
      ...lowRank('g'),
      vector(`${prefix}.A_log`, heads, 'Rows'),
      vector(`${prefix}.dt_bias`, width, 'Rows'),
      vector(`${prefix}.o_norm`, headDim),
      matrix(`${prefix}.o_proj`, [hiddenSize, width], 'Columns'),
    ],
    cache: {
      elementsPerToken: 0,
      stateBytes: stateBytes(heads * headDim * headDim, (kernel - 1) * 3 * width),
      shards: heads,
    },
    scoreElements: 0,
    divisors: headDivisors(heads),
    groupCuts: [outputCut(`${prefix}.o_proj`, heads, headDim)],
  };
};

/** Mamba 2 (Nemotron-H). */
export const mamba2 = (fields: ConfigFields, prefix: string, hiddenSize: number): MixerShape => {
  const heads = fields.integer('mamba_num_heads');
  const headDim = fields.integer('mamba_head_dim');
  const groups = fields.integer('n_groups', { fallback: 1 });
  const state = fields.integer('ssm_state_size');
  const kernel = fields.integer('conv_kernel', { fallback: 4 });
  const width = heads * headDim;
  const channels = width + 2 * groups * state;
  return {
    mixer: 'Linear',
    modules: [
      matrix(`${prefix}.in_proj`, [width + channels + heads, hiddenSize], 'Rows'),
      matrix(`${prefix}.conv1d`, [channels, kernel], 'Rows', { plain: true, bias: true }),
      ...['A_log', 'D', 'dt_bias'].map((name) => vector(`${prefix}.${name}`, heads, 'Rows')),
      vector(`${prefix}.norm`, width, 'Rows'),
      matrix(`${prefix}.out_proj`, [hiddenSize, width], 'Columns'),
    ],
    cache: {
      elementsPerToken: 0,
      stateBytes: stateBytes(heads * headDim * state, (kernel - 1) * channels),
      shards: groups,
    },
    scoreElements: 0,
    divisors: headDivisors(groups).map((divisor) => ({ ...divisor, what: 'Mamba groups' })),
    groupCuts: [outputCut(`${prefix}.out_proj`, heads, headDim)],
  };
};

const stateBytes = (stateElements: number, convolutionElements: number): number =>
  stateElements * stateElementBytes + convolutionElements * convolutionElementBytes;

/** A layer without attention: nothing is cached. */
export const noMixer: Pick<LayerShape, 'mixer' | 'cache' | 'scoreElements'> = {
  mixer: 'None',
  cache: { elementsPerToken: 0, stateBytes: 0, shards: 1 },
  scoreElements: 0,
};
