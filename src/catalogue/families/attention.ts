import { matrix, vector } from '../model-shape.ts';
import type { GroupCut, LayerShape, ModelModule } from '../model-shape.ts';

/** The part of a layer that mixes positions, with what it caches and what cutting it takes. */
export type MixerShape = Omit<LayerShape, 'experts'>;

export interface GroupedQueryOptions {
  /** "model.layers.0.self_attn" */
  prefix: string;
  hiddenSize: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  inputBias?: boolean;
  outputBias?: boolean;
  /** Norms over each head's queries and keys. */
  headNorms?: boolean;
  /** The query projection also yields a gate as wide as the queries. */
  outputGate?: boolean;
  /** Keys serve as values: there is no value projection. */
  sharedValues?: boolean;
  windowTokens?: number;
}

/** Attention with fewer key-value heads than heads, or as many; each tensor rank takes whole heads. */
export const groupedQueryAttention = (options: GroupedQueryOptions): MixerShape => {
  const { prefix, hiddenSize, heads, kvHeads, headDim, windowTokens } = options;
  const bias = options.inputBias === true;
  const queryRows = heads * headDim * (options.outputGate ? 2 : 1);
  const norms = options.headNorms
    ? [vector(`${prefix}.q_norm`, headDim), vector(`${prefix}.k_norm`, headDim)]
    : [];
  const keyRows: [number, number] = [kvHeads * headDim, hiddenSize];
  const modules: ModelModule[] = [
    matrix(`${prefix}.q_proj`, [queryRows, hiddenSize], 'Rows', { bias }),
    matrix(`${prefix}.k_proj`, keyRows, 'Rows', { bias }),
    ...(options.sharedValues ? [] : [matrix(`${prefix}.v_proj`, keyRows, 'Rows', { bias })]),
    matrix(`${prefix}.o_proj`, [hiddenSize, heads * headDim], 'Columns', {
      bias: options.outputBias === true,
    }),
    ...norms,
  ];
  return {
    mixer: windowTokens === undefined ? 'FullAttention' : 'SlidingWindow',
    modules,
    cache: {
      elementsPerToken: 2 * kvHeads * headDim,
      ...(windowTokens === undefined ? {} : { windowTokens }),
      stateBytes: 0,
      shards: kvHeads,
    },
    scoreElements: 2 * heads * headDim,
    headWidth: headDim,
    divisors: headDivisors(heads, kvHeads),
    groupCuts: [outputCut(`${prefix}.o_proj`, heads, headDim)],
  };
};

export const headDivisors = (heads: number, kvHeads?: number): LayerShape['divisors'] => [
  { reason: 'IndivisibleHeads', what: 'attention heads', count: heads },
  ...(kvHeads === undefined
    ? []
    : [{ reason: 'IndivisibleKVHeads' as const, what: 'key-value heads', count: kvHeads }]),
];

/** Slices of the attention output's input are whole heads as well as whole groups. */
export const outputCut = (module: string, heads: number, headDim: number): GroupCut => ({
  what: 'attention output',
  module,
  inputs: heads * headDim,
  unit: headDim,
});
