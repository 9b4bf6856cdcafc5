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

/** What Nemotron-H calls mamba_num_heads, mamba_head_dim, n_groups, ssm_state_size and conv_kernel. */
export interface MambaSizes {
  heads: number;
  headDim: number;
  groups: number;
  state: number;
  kernel: number;
}

/** Mamba 2 (Nemotron-H, Granite 4, Falcon H1). */
export const mamba2 = (
  prefix: string,
  hiddenSize: number,
  { heads, headDim, groups, state, kernel }: MambaSizes,
): MixerShape => {
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

/** Mamba 1 (Jamba): a state for each channel, with steps by a projection of rank `stepRank`. */
export const mamba1 = (
  prefix: string,
  hiddenSize: number,
  {
    width,
    state,
    kernel,
    stepRank,
  }: { width: number; state: number; kernel: number; stepRank: number },
): MixerShape => ({
  mixer: 'Linear',
  modules: [
    matrix(`${prefix}.in_proj`, [2 * width, hiddenSize], 'Rows'),
    matrix(`${prefix}.conv1d`, [width, kernel], 'Rows', { plain: true, bias: true }),
    matrix(`${prefix}.x_proj`, [stepRank + 2 * state, width], 'Columns'),
    matrix(`${prefix}.dt_proj`, [width, stepRank], 'Rows', { bias: true }),
    matrix(`${prefix}.A_log`, [width, state], 'Rows', { plain: true }),
    vector(`${prefix}.D`, width, 'Rows'),
    matrix(`${prefix}.out_proj`, [hiddenSize, width], 'Columns'),
  ],
  cache: {
    elementsPerToken: 0,
    stateBytes: stateBytes(width * state, (kernel - 1) * width),
    shards: 1,
  },
  scoreElements: 0,
  divisors: [{ reason: 'IndivisibleHeads', what: 'Mamba channels', count: width }],
  groupCuts: [outputCut(`${prefix}.out_proj`, width, 1)],
});

/** Lightning attention (MiniMax 01 and M1): a state of head width squared for each head, and a gate over its output. */
export const lightningAttention = (
  prefix: string,
  hiddenSize: number,
  { heads, headDim }: { heads: number; headDim: number },
): MixerShape => {
  const width = heads * headDim;
  return {
    mixer: 'Linear',
    modules: [
      matrix(`${prefix}.qkv_proj`, [3 * width, hiddenSize], 'Rows'),
      matrix(`${prefix}.output_gate`, [width, hiddenSize], 'Rows'),
      vector(`${prefix}.norm`, width, 'Rows'),
      matrix(`${prefix}.out_proj`, [hiddenSize, width], 'Columns'),
    ],
    cache: { elementsPerToken: 0, stateBytes: stateBytes(width * headDim, 0), shards: heads },
    scoreElements: 0,
    divisors: headDivisors(heads),
    groupCuts: [outputCut(`${prefix}.out_proj`, heads, headDim)],
  };
};

/** A gated convolution over a few positions (LFM2). */
export const shortConvolution = (
  prefix: string,
  hiddenSize: number,
  kernel: number,
): MixerShape => ({
  mixer: 'Linear',
  modules: [
    matrix(`${prefix}.in_proj`, [3 * hiddenSize, hiddenSize], 'Rows'),
    matrix(`${prefix}.conv`, [hiddenSize, kernel], 'Rows', { plain: true }),
    matrix(`${prefix}.out_proj`, [hiddenSize, hiddenSize], 'Columns'),
  ],
  cache: { elementsPerToken: 0, stateBytes: stateBytes(0, (kernel - 1) * hiddenSize), shards: 1 },
  scoreElements: 0,
  divisors: [
    { reason: 'IndivisibleHeads', what: 'channels of the convolution', count: hiddenSize },
  ],
  groupCuts: [outputCut(`${prefix}.out_proj`, hiddenSize, 1)],
});

const stateBytes = (stateElements: number, convolutionElements: number): number =>
  stateElements * stateElementBytes + convolutionElements * convolutionElementBytes;

/** A layer without attention: nothing is cached. */
export const noMixer: Pick<LayerShape, 'mixer' | 'cache' | 'scoreElements'> = {
  mixer: 'None',
  cache: { elementsPerToken: 0, stateBytes: 0, shards: 1 },
  scoreElements: 0,
};
