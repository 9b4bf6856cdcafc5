import { EspalierError } from '../base/errors.ts';
import { builtInEngine } from './engine-capabilities.ts';
import { isRecord } from './model-files.ts';

/** config.json as Hugging Face and MLX write it, reduced to what sizes depend on. */
export interface ModelConfig {
  architecture: string;
  layers: number;
  hiddenSize: number;
  intermediateSize: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  vocabSize: number;
  maxPositions: number;
  /** Undefined: the files say, by having a head or not. */
  tiedEmbeddings: boolean | undefined;
  queryKeyValueBias: boolean;
  outputBias: boolean;
  mlpBias: boolean;
  quantization?: { bits: number; groupSize: number };
  /** Bytes of a float of this model, for folders without weights. */
  floatBytes: number;
}

/**
 * Checks and reads the value of config.json. Throws ModelConfigInvalid for what is missing or malformed and
 * UnsupportedArchitecture for what is well-formed but beyond every engine there is; both name the file.
 */
export const parseModelConfig = (value: unknown, file: string): ModelConfig => {
  if (!isRecord(value)) throw invalid(file, 'expected an object');
  const architecture = value['model_type'];
  if (typeof architecture !== 'string') throw invalid(file, 'model_type: expected a string');
  if (!builtInEngine.architectures.includes(architecture)) {
    throw unsupported(
      file,
      `model_type "${architecture.slice(0, 60)}": supported are ${builtInEngine.architectures.join(', ')}`,
    );
  }
  refuseFeatures(value, file);
  const heads = integer(value, 'num_attention_heads', file);
  const hiddenSize = integer(value, 'hidden_size', file);
  const llamaBias = architecture === 'llama' && flag(value, 'attention_bias', file) === true;
  const quantization = parseQuantization(value, file);
  const config: ModelConfig = {
    architecture,
    layers: integer(value, 'num_hidden_layers', file, { max: 4096 }),
    hiddenSize,
    intermediateSize: integer(value, 'intermediate_size', file),
    heads,
    kvHeads: integer(value, 'num_key_value_heads', file, { fallback: heads }),
    headDim: integer(value, 'head_dim', file, { fallback: hiddenSize / heads }),
    vocabSize: integer(value, 'vocab_size', file),
    maxPositions: integer(value, 'max_position_embeddings', file, { fallback: 2048 }),
    tiedEmbeddings: flag(value, 'tie_word_embeddings', file),
    queryKeyValueBias: architecture === 'qwen2' || llamaBias,
    outputBias: llamaBias,
    mlpBias: flag(value, 'mlp_bias', file) === true,
    ...(quantization ? { quantization } : {}),
    floatBytes: (value['torch_dtype'] ?? value['dtype']) === 'float32' ? 4 : 2,
  };
  if (!Number.isInteger(config.headDim)) {
    throw invalid(file, `hidden_size ${hiddenSize} is no multiple of num_attention_heads ${heads}`);
  }
  if (heads % config.kvHeads !== 0) {
    const kvHeads = config.kvHeads;
    throw invalid(
      file,
      `num_attention_heads ${heads} is no multiple of num_key_value_heads ${kvHeads}`,
    );
  }
  return config;
};

const refuseFeatures = (value: Record<string, unknown>, file: string): void => {
  const activation = given(value, 'hidden_act') ?? 'silu';
  if (activation !== 'silu') {
    throw unsupported(file, `hidden_act: expected "silu", got ${show(activation)}`);
  }
  if (value['use_sliding_window'] === true) {
    throw unsupported(file, 'use_sliding_window: sliding-window attention is not available yet');
  }
  if (value['rope_traditional'] === true) {
    throw unsupported(file, 'rope_traditional: interleaved rotary pairs are not available yet');
  }
  const layerTypes = given(value, 'layer_types') ?? [];
  if (!Array.isArray(layerTypes) || layerTypes.some((type) => type !== 'full_attention')) {
    throw unsupported(file, 'layer_types: expected "full_attention" in every layer');
  }
  const scaling = given(value, 'rope_parameters') ?? given(value, 'rope_scaling') ?? {};
  if (!isRecord(scaling)) throw invalid(file, 'rope_scaling: expected an object');
  const ropeType = scaling['rope_type'] ?? scaling['type'] ?? 'default';
  if (ropeType !== 'default' && ropeType !== 'linear' && ropeType !== 'llama3') {
    throw unsupported(
      file,
      `rope_scaling: expected rope_type default, linear or llama3, got ${show(ropeType)}`,
    );
  }
};

/** MLX affine quantisation with one width for the whole model. */
const parseQuantization = (value: Record<string, unknown>, file: string) => {
  const quantization = given(value, 'quantization');
  if (quantization === undefined) {
    if (given(value, 'quantization_config') === undefined) return undefined;
    throw unsupported(
      file,
      'quantization_config without quantization: only MLX affine quantisation is available',
    );
  }
  if (!isRecord(quantization)) throw invalid(file, 'quantization: expected an object');
  const { bits, group_size: groupSize, mode = 'affine', ...others } = quantization;
  if (mode !== 'affine') {
    throw unsupported(file, `quantization.mode: expected "affine", got ${show(mode)}`);
  }
  const [other] = Object.keys(others);
  if (other !== undefined) {
    throw unsupported(file, `quantization.${other}: widths per layer are not available yet`);
  }
  if (bits === undefined || groupSize === undefined) {
    throw invalid(file, 'quantization: expected bits and group_size');
  }
  if (bits !== 4 && bits !== 8) {
    throw unsupported(file, `quantization.bits: expected 4 or 8, got ${show(bits)}`);
  }
  if (groupSize !== 32 && groupSize !== 64 && groupSize !== 128) {
    throw unsupported(
      file,
      `quantization.group_size: expected 32, 64 or 128, got ${show(groupSize)}`,
    );
  }
  return { bits, groupSize };
};

const integer = (
  value: Record<string, unknown>,
  key: string,
  file: string,
  { fallback, max = 2 ** 24 }: { fallback?: number; max?: number } = {},
): number => {
  const found = given(value, key);
  if (found === undefined && fallback !== undefined) return fallback;
  if (typeof found === 'number' && Number.isInteger(found) && found >= 1 && found <= max)
    return found;
  const came = found === undefined ? 'it is not there' : `got ${show(found)}`;
  throw invalid(file, `${key}: expected an integer from 1 to ${max}, ${came}`);
};

const flag = (value: Record<string, unknown>, key: string, file: string): boolean | undefined => {
  const found = given(value, key);
  if (found === undefined || typeof found === 'boolean') return found;
  throw invalid(file, `${key}: expected true or false, got ${show(found)}`);
};

/** Absent and null both mean "not given". */
const given = (value: Record<string, unknown>, key: string): unknown => value[key] ?? undefined;

const show = (value: unknown): string => JSON.stringify(value).slice(0, 60);

const invalid = (file: string, what: string) =>
  new EspalierError('ModelConfigInvalid', `${file}: ${what}`, { file });

const unsupported = (file: string, what: string) =>
  new EspalierError('UnsupportedArchitecture', `${file}: ${what}`, { file });
