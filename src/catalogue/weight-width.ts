import type { Quantization } from './model-profile.ts';

/** How the elements of a matrix are stored. */
export type Width = { format: 'Float'; bytes: number } | QuantizedWidth;

export interface QuantizedWidth extends Quantization {
  /** Bytes that each group adds to the packed values: scales, zero points or biases. */
  bytesPerGroup: number;
}

/** Width of each module of a model. */
export interface Widths {
  /** Of vectors, biases and whatever is not quantised. */
  floatBytes: number;
  /** Most matrices have this one; undefined for models that are not quantised. */
  main: QuantizedWidth | undefined;
  /** By module name. */
  of: (name: string) => Width;
  /** What had to be taken for granted, as a sentence. */
  assumption?: string;
}

/** Bytes of a matrix of this width. */
export const matrixBytes = (width: Width, rows: number, columns: number): number => {
  if (width.format === 'Float') return rows * columns * width.bytes;
  const groups = rows * Math.ceil(columns / width.groupSize);
  return (rows * columns * width.bits) / 8 + groups * width.bytesPerGroup;
};

export const unquantized = (floatBytes: number): Widths => ({
  floatBytes,
  main: undefined,
  of: () => ({ format: 'Float', bytes: floatBytes }),
});
