import { show } from './config-fields.ts';
import { builtInEngine } from './engine-capabilities.ts';
import { isRecord } from './model-files.ts';

/**
 * Why the built-in engine cannot run a model of a family that it has, from its config.json; undefined when it
 * can. What it lacks: native/engine/llama.cpp (activation, rotary scaling), partition.cpp (affine 4 and 8 bits).
 */
export const builtInRefusal = (
  config: Record<string, unknown>,
  gguf?: string,
): string | undefined => {
  if (!builtInEngine.architectures.includes(String(config['model_type']))) return undefined;
  if (gguf !== undefined) {
    return `its weights are GGUF (${gguf}): only safetensors are available`;
  }
  return featureRefusal(config) ?? quantizationRefusal(config);
};

const featureRefusal = (config: Record<string, unknown>): string | undefined => {
  const activation = config['hidden_act'] ?? 'silu';
  if (activation !== 'silu') return `hidden_act: expected "silu", got ${show(activation)}`;
  if (config['use_sliding_window'] === true) {
    return 'use_sliding_window: sliding-window attention is not available yet';
  }
  if (config['rope_traditional'] === true) {
    return 'rope_traditional: interleaved rotary pairs are not available yet';
  }
  const layerTypes = config['layer_types'] ?? [];
  if (!Array.isArray(layerTypes) || layerTypes.some((type) => type !== 'full_attention')) {
    return 'layer_types: expected "full_attention" in every layer';
  }
  const scaling = config['rope_parameters'] ?? config['rope_scaling'] ?? {};
  const ropeType = isRecord(scaling)
    ? (scaling['rope_type'] ?? scaling['type'] ?? 'default')
    : scaling;
  return ropeType === 'default' || ropeType === 'linear' || ropeType === 'llama3'
    ? undefined
    : `rope_scaling: expected rope_type default, linear or llama3, got ${show(ropeType)}`;
};

/** MLX affine quantisation with one width for the whole model. */
const quantizationRefusal = (config: Record<string, unknown>): string | undefined => {
  const quantization = config['quantization'] ?? undefined;
  if (!isRecord(quantization)) {
    return (config['quantization_config'] ?? undefined) === undefined
      ? undefined
      : 'quantization_config without quantization: only MLX affine quantisation is available';
  }
  const { bits, group_size: groupSize, mode = 'affine', ...others } = quantization;
  if (mode !== 'affine') return `quantization.mode: expected "affine", got ${show(mode)}`;
  const [other] = Object.keys(others);
  if (other !== undefined) {
    return `quantization.${other}: widths per layer are not available yet`;
  }
  if (bits !== 4 && bits !== 8) return `quantization.bits: expected 4 or 8, got ${show(bits)}`;
  return groupSize === 32 || groupSize === 64 || groupSize === 128
    ? undefined
    : `quantization.group_size: expected 32, 64 or 128, got ${show(groupSize)}`;
};
