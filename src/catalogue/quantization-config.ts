import type { ConfigFields } from './config-fields.ts';
import { show } from './config-fields.ts';
import { ggufTypes, ggufWidths } from './gguf-width.ts';
import { hubWidths } from './hub-quantization.ts';
import { isRecord } from './model-files.ts';
import { bareName } from './module-patterns.ts';
import { unquantized } from './weight-width.ts';
import type { QuantizedWidth, Width, Widths } from './weight-width.ts';

/**
 * Widths of a model's modules. In this order: `gguf`, the type that the name of the file or the folder tells, or
 * a field of this name in the file; MLX's `quantization` (one width, or one for each module that is named);
 * Hugging Face's `quantization_config`. Throws ModelConfigInvalid for a block that no quantiser writes.
 */
export const readWidths = (fields: ConfigFields, text: ConfigFields, gguf?: string): Widths => {
  const floats = text.given('torch_dtype') ?? text.given('dtype') ?? fields.given('torch_dtype');
  const floatBytes = floats === 'float32' ? 4 : 2;
  const type = gguf ?? fields.text('gguf');
  if (type !== undefined) return ggufOf(fields, type);
  const block = fields.nested('quantization') ?? text.nested('quantization');
  if (block) return mlxWidths(block, floatBytes);
  const hub = fields.nested('quantization_config') ?? text.nested('quantization_config');
  if (!hub) return unquantized(floatBytes);
  const method = hub.text('quant_method');
  // mlx-lm writes its block under this name too.
  if (method === undefined && hub.given('bits') !== undefined) return mlxWidths(hub, floatBytes);
  if (method === 'gguf') return ggufOf(hub, hub.text('quant_type') ?? '');
  return hubWidths(hub, text, floatBytes);
};

const ggufOf = (fields: ConfigFields, type: string): Widths => {
  const widths = ggufWidths(type);
  if (widths) return widths;
  throw fields.invalid(`GGUF type: expected one of ${ggufTypes.join(', ')}, got ${show(type)}`);
};

const mlxWidths = (block: ConfigFields, floatBytes: number): Widths => {
  const main = mlxWidth(block, floatBytes);
  const overrides = new Map<string, Width>();
  for (const key of block.keys()) {
    const width = override(block, key, main, floatBytes);
    if (width) overrides.set(bareName(key), width);
  }
  return { floatBytes, main, of: (name) => overrides.get(bareName(name)) ?? main };
};

const override = (
  block: ConfigFields,
  key: string,
  main: QuantizedWidth,
  floatBytes: number,
): Width | undefined => {
  const value = block.given(key);
  if (value === false) return { format: 'Float', bytes: floatBytes };
  const own = isRecord(value) ? block.nested(key) : undefined;
  return own && mlxWidth(own, floatBytes, main);
};

/**
 * Affine: a 16-bit scale and bias for each group. mxfp4, mxfp8 and nvfp4: one byte for each.
 * Source: mlx-lm 0.32, mlx.core.quantize.
 */
const mlxWidth = (
  block: ConfigFields,
  floatBytes: number,
  fallback?: QuantizedWidth,
): QuantizedWidth => {
  const mode = block.text('mode') ?? 'affine';
  const known = floatModes[mode];
  if (mode !== 'affine' && !known) {
    throw block.invalid(
      `mode: expected affine, ${Object.keys(floatModes).join(', ')}, got ${show(mode)}`,
    );
  }
  const defaults = known ?? fallback;
  const bits = block.integer('bits', { max: 8, ...(defaults && { fallback: defaults.bits }) });
  const groupSize = block.integer('group_size', {
    max: 1024,
    ...(defaults && { fallback: defaults.groupSize }),
  });
  return known
    ? { ...known, bits, groupSize }
    : { format: 'Affine', bits, groupSize, bytesPerGroup: 2 * floatBytes };
};

const floatModes: Readonly<Record<string, QuantizedWidth>> = {
  mxfp4: { format: 'Mxfp4', bits: 4, groupSize: 32, bytesPerGroup: 1 },
  mxfp8: { format: 'Other', bits: 8, groupSize: 32, bytesPerGroup: 1 },
  nvfp4: { format: 'Other', bits: 4, groupSize: 16, bytesPerGroup: 1 },
};
