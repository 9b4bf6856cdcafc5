import type { CacheProfile, Divisor, LayerProfile } from './model-profile.ts';

/** A linear layer (columns > 0) or a vector of `rows` elements, as config.json implies it. */
export interface ModelModule {
  /** As mlx-lm and Hugging Face name it, without ".weight": "model.layers.0.mlp.up_proj". */
  name: string;
  rows: number;
  columns: number;
  /** Tensor parallelism divides the matrix by rows or by columns; its bias only when by rows. */
  cut: 'Rows' | 'Columns' | 'Nothing';
  bias: boolean;
  /** Parameters that quantisation leaves alone although they are matrices: convolutions, raw router weights. */
  plain: boolean;
}

/** What a family makes of its config.json, before anything is said of bytes. */
export interface ModelShape {
  architecture: string;
  hiddenSize: number;
  vocabSize: number;
  /** Undefined: the files say, by having a head or not. */
  tiedEmbeddings: boolean | undefined;
  maxPositions: number;
  layers: readonly LayerShape[];
  embedding: readonly ModelModule[];
  /** Used when the embeddings are not tied. */
  head: readonly ModelModule[];
  /** Final norm and the like. */
  other: readonly ModelModule[];
}

export interface LayerShape {
  mixer: LayerProfile['mixer'];
  modules: readonly ModelModule[];
  /** `modules` of one routed expert. */
  experts?: ExpertsShape;
  cache: CacheProfile;
  scoreElements: number;
  /** As in LayerProfile. */
  headWidth?: number;
  wholeScoreElements?: number;
  /** As in LayerProfile. */
  exchanges?: number;
  /** What must divide whatever the quantisation is. */
  divisors: readonly Divisor[];
  /** Matrices that tensor parallelism cuts along their inputs, where a quantisation group must stay whole. */
  groupCuts: readonly GroupCut[];
}

export interface ExpertsShape {
  count: number;
  perToken: number;
  /** Of one expert. */
  modules: readonly ModelModule[];
}

/** `unit`: inputs that must stay together for other reasons, such as a head; 1 if none must. */
export interface GroupCut {
  what: string;
  module: string;
  inputs: number;
  unit: number;
}

export const matrix = (
  name: string,
  [rows, columns]: readonly [number, number],
  cut: ModelModule['cut'],
  { bias = false, plain = false }: { bias?: boolean; plain?: boolean } = {},
): ModelModule => ({ name, rows, columns, cut, bias, plain });

export const vector = (
  name: string,
  rows: number,
  cut: 'Rows' | 'Nothing' = 'Nothing',
): ModelModule => ({ name, rows, columns: 0, cut, bias: false, plain: true });
