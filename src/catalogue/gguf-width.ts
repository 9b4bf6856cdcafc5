import type { QuantizedWidth, Widths } from './weight-width.ts';

/**
 * Bits per weight of whole files. The plain types follow from their blocks; mixes (K, IQ) are what llama.cpp's
 * quantiser reports, checked against Llama-3.3-70B and DeepSeek-R1 in Q4_K_M (4.82).
 * Source: llama.cpp tools/quantize/README.md, ggml-common.h.
 */
const bitsPerWeight: Readonly<Record<string, number>> = {
  F32: 32,
  F16: 16,
  BF16: 16,
  Q8_0: 8.5,
  Q6_K: 6.56,
  Q5_1: 6,
  Q5_0: 5.5,
  Q5_K_M: 5.69,
  Q5_K_S: 5.54,
  Q5_K: 5.69,
  Q4_1: 5,
  Q4_0: 4.5,
  Q4_K_M: 4.83,
  Q4_K_S: 4.58,
  Q4_K: 4.83,
  Q3_K_L: 4.27,
  Q3_K_M: 3.91,
  Q3_K_S: 3.5,
  Q3_K: 3.91,
  Q2_K: 3,
  Q2_K_S: 2.9,
  IQ4_NL: 4.56,
  IQ4_XS: 4.3,
  IQ3_M: 3.66,
  IQ3_S: 3.5,
  IQ3_XS: 3.3,
  IQ3_XXS: 3.1,
  IQ2_M: 2.7,
  IQ2_S: 2.5,
  IQ2_XS: 2.4,
  IQ2_XXS: 2.1,
  IQ1_M: 1.85,
  IQ1_S: 1.6,
  MXFP4: 4.25,
  MXFP4_MOE: 4.3,
};

/** Known types, for messages. */
export const ggufTypes: readonly string[] = Object.keys(bitsPerWeight);

/** Every matrix as wide as the file is on average; undefined for types that are not known. */
export const ggufWidths = (type: string): Widths | undefined => {
  const width = bitsPerWeight[type.toUpperCase()];
  if (width === undefined) return undefined;
  if (width >= 16) {
    const bytes = width / 8;
    return { floatBytes: bytes, main: undefined, of: () => ({ format: 'Float', bytes }) };
  }
  const groupSize = 32;
  const bits = Math.floor(width);
  const main: QuantizedWidth = {
    format: 'Gguf',
    bits,
    groupSize,
    bytesPerGroup: ((width - bits) * groupSize) / 8,
  };
  return { floatBytes: 4, main, of: () => main };
};

/**
 * The type that the name of a file or folder tells: "Qwen3-8B-Q4_K_M.gguf", "DeepSeek-R1-UD-IQ2_XXS-GGUF".
 * Undefined when it tells none.
 */
export const ggufTypeOf = (name: string): string | undefined => {
  const upper = name.toUpperCase();
  const isFile = upper.endsWith('.GGUF');
  // Float types are words of other names as well: "bf16" alone says nothing of GGUF.
  const candidates = ggufTypes
    .filter((type) => isFile || upper.includes('GGUF') || /^I?Q\d/.test(type))
    .toSorted((a, b) => b.length - a.length);
  return candidates.find((type) => new RegExp(`(^|[^A-Z0-9])${type}([^A-Z0-9_]|$)`).test(upper));
};
