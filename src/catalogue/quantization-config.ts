import type { ConfigFields } from './config-fields.ts';
import { show } from './config-fields.ts';
import { isRecord } from './model-files.ts';
import { unquantized } from './weight-width.ts';
import type { QuantizedWidth, Width, Widths } from './weight-width.ts';

/**
 * Widths of a model's modules, from MLX's `quantization` (one width, or one for each module that is named).
 * Throws ModelConfigInvalid for a block that no quantiser writes.
 */
export const readWidths = (fields: ConfigFields, floatBytes: number): Widths => {
  const block = fields.nested('quantization');
  if (!block) return unquantized(floatBytes);
  const main = mlxWidth(block, floatBytes);
  const overrides = new Map<string, Width>();
  for (const [key, value] of Object.entries(fields.given('quantization') ?? {})) {
    const width = override(block, key, value, main, floatBytes);
    if (width) overrides.set(bareName(key), width);
  }
  return { floatBytes, main, of: (name) => overrides.get(bareName(name)) ?? main };
};

const settings = new Set(['bits', 'group_size', 'mode', 'quant_method']);

const override = (
  block: ConfigFields,
  key: string,
  value: unknown,
  main: QuantizedWidth,
  floatBytes: number,
): Width | undefined => {
  if (settings.has(key)) return undefined;
  if (value === false) return { format: 'Float', bytes: floatBytes };
  if (!isRecord(value)) return undefined;
  const own = block.nested(key);
  return own && mlxWidth(own, floatBytes, main);
};

/** Checkpoints differ in what stands before "layers.0": "model.", "language_model.model.", nothing. */
const bareName = (name: string): string => name.replace(/^(language_model\.|model\.)+/, '');

/**
 * Affine: a 16-bit scale and bias for each group. mxfp4, mxfp8 and nvfp4: one byte for each.
 * Source: mlx-lm 0.31, mlx.core.quantize.
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
