import type { ConfigFields } from './config-fields.ts';
import { show } from './config-fields.ts';
import { namedBy } from './module-patterns.ts';
import { unquantized } from './weight-width.ts';
import type { QuantizedWidth, Width, Widths } from './weight-width.ts';

/**
 * Widths by Hugging Face's quantization_config: mxfp4, fp8, gptq, awq, bitsandbytes, compressed-tensors and
 * modelopt. Embeddings, head, norms and what the block excludes stay floats. Weights of a method that is not known are as
 * wide as its `bits`, else floats.
 */
export const hubWidths = (block: ConfigFields, text: ConfigFields, floatBytes: number): Widths => {
  const method = block.text('quant_method') ?? '';
  const main = widthOf(block, method);
  if (!main) {
    return {
      ...unquantized(floatBytes),
      assumption: `quantization_config.quant_method ${show(method)} is not known and tells no bits: weights are taken for ${8 * floatBytes} bits each.`,
    };
  }
  const skipped = namedBy([
    ...(method === 'mxfp4' ? ['self_attn', 'router'] : []),
    ...(block.list('modules_to_not_convert') ?? []),
    ...(block.list('exclude_modules') ?? []),
    ...(block.list('ignore') ?? []),
  ]);
  const experts = text.text('expert_dtype') === 'fp4' ? mxfp4 : main;
  const float: Width = { format: 'Float', bytes: floatBytes };
  return {
    floatBytes,
    main: experts,
    of: (name) => {
      const spelled = name.replace('.switch_mlp.', '.experts.0.');
      if (/(embed_tokens|lm_head|gate|router)$/.test(name) || skipped(spelled)) return float;
      return isExpert(name) ? experts : main;
    },
  };
};

/** Routed ones: MLX stacks them as switch_mlp, checkpoints of the hub number them. */
const isExpert = (name: string): boolean => /\.(switch_mlp|experts)\./.test(name);

const mxfp4: QuantizedWidth = { format: 'Mxfp4', bits: 4, groupSize: 32, bytesPerGroup: 1 };
const nvfp4: QuantizedWidth = { format: 'Other', bits: 4, groupSize: 16, bytesPerGroup: 1 };
/** One 32-bit scale for each block of 128 by 128. */
const fp8: QuantizedWidth = { format: 'Other', bits: 8, groupSize: 128, bytesPerGroup: 4 / 128 };

const widthOf = (block: ConfigFields, method: string): QuantizedWidth | undefined => {
  switch (method) {
    case 'mxfp4':
      return mxfp4;
    case 'fp8':
    case 'fbgemm_fp8':
      return fp8;
    case 'gptq':
    case 'awq':
      return groupsOf(
        block,
        block.integer('bits', { max: 8, fallback: block.count('w_bit') || 4 }),
      );
    case 'bitsandbytes':
      return block.flag('load_in_4bit')
        ? { format: 'Other', bits: 4, groupSize: 64, bytesPerGroup: 1 }
        : { format: 'Other', bits: 8, groupSize: 1024, bytesPerGroup: 4 };
    case 'compressed-tensors':
      return groupWidth(block);
    case 'modelopt': {
      const algorithm = block.text('quant_algo') ?? '';
      return /FP4/i.test(algorithm) ? nvfp4 : fp8;
    }
    default: {
      const bits = block.given('bits');
      const isWidth = typeof bits === 'number' && Number.isInteger(bits) && bits >= 1 && bits <= 8;
      return isWidth ? groupsOf(block, bits) : undefined;
    }
  }
};

/** A 16-bit scale and a packed zero point for each group; -1 is one group for each row, which weighs less. */
const groupsOf = (block: ConfigFields, bits: number): QuantizedWidth => {
  const fallback = block.count('q_group_size') || 128;
  const perRow = block.given('group_size') === -1;
  const groupSize = perRow ? fallback : block.integer('group_size', { max: 1024, fallback });
  return { format: 'Other', bits, groupSize, bytesPerGroup: 2 + bits / 8 };
};

/** The first of compressed-tensors' groups; the format tells what its scales are. */
const groupWidth = (block: ConfigFields): QuantizedWidth => {
  const groups = block.nested('config_groups');
  const [first] = groups?.keys() ?? [];
  const group = first === undefined ? undefined : groups?.nested(first);
  const weights = group?.nested('weights');
  const format = group?.text('format') ?? block.text('format') ?? '';
  if (!weights) throw block.invalid('config_groups: expected a group with weights');
  if (format.startsWith('mxfp4')) return mxfp4;
  if (format.startsWith('nvfp4')) return nvfp4;
  const bits = weights.integer('num_bits', { max: 8 });
  if (weights.text('type') === 'float') return { ...fp8, bits };
  const groupSize = weights.integer('group_size', { max: 1024, fallback: 128 });
  return { format: 'Other', bits, groupSize, bytesPerGroup: 2 };
};
