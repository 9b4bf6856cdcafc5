import type { EngineCapability } from '../catalogue/engine-capabilities.ts';
import type { ModelProfile } from '../catalogue/model-profile.ts';
import { shapeLabel } from './shapes.ts';
import type { Shape } from './shapes.ts';
import type { Refusal } from './refusal.ts';

/** Why this model can never be cut like this, whatever the nodes; undefined when it can. */
export const indivisible = (
  model: ModelProfile,
  shape: Shape,
  engine: EngineCapability,
): Refusal | undefined => {
  const refusal = tooManyStages(model, shape) ?? uneven(model, shape.tensorSize);
  if (refusal) return { option: shapeLabel(shape), terminal: true, ...refusal };
  if (engine.tensorSizes.includes(shape.tensorSize)) return undefined;
  return {
    option: shapeLabel(shape),
    reason: 'NotAvailableYet',
    message: `engine ${engine.name} cuts a layer over ${engine.tensorSizes.join(', ')} ranks, not over ${shape.tensorSize}: set spec.parallelism.tensorSize to one of these`,
    terminal: true,
  };
};

type Cause = Pick<Refusal, 'reason' | 'message'>;

const tooManyStages = (model: ModelProfile, { pipelineSize }: Shape): Cause | undefined =>
  pipelineSize <= model.layers
    ? undefined
    : {
        reason: 'InsufficientLayers',
        message: `${pipelineSize} stages need at least ${pipelineSize} layers, the model has ${model.layers}`,
      };

/** Heads go to ranks whole; so do quantisation groups along the inputs of row-parallel matrices. */
const uneven = (model: ModelProfile, ranks: number): Cause | undefined => {
  const { heads, kvHeads, headDim, intermediateSize, quantization } = model;
  const group = quantization?.groupSize ?? 1;
  const rules: [Refusal['reason'], string, number][] = [
    ['IndivisibleHeads', 'attention heads', heads],
    ['IndivisibleKVHeads', 'key-value heads', kvHeads],
    ['IndivisibleIntermediateSize', 'columns of the MLP', intermediateSize],
  ];
  for (const [reason, what, count] of rules) {
    if (count % ranks !== 0) {
      return { reason, message: `${count} ${what} cannot be divided among ${ranks} tensor ranks` };
    }
  }
  // Slices of the attention output's input are whole heads as well as whole groups.
  const widths: [string, number, number][] = [
    ['attention output', heads * headDim, leastCommonMultiple(group, headDim)],
    ['MLP down projection', intermediateSize, group],
  ];
  for (const [what, width, unit] of widths) {
    if (ranks > 1 && (width / ranks) % unit !== 0) {
      return {
        reason: 'IndivisibleQuantizationGroups',
        message: `the ${what} has ${width} inputs, ${width / ranks} for each of ${ranks} tensor ranks: not a whole number of quantisation groups of ${group}${unit === group ? '' : ` and heads of ${headDim}`}`,
      };
    }
  }
  return undefined;
};

const leastCommonMultiple = (a: number, b: number): number => (a / greatestCommonDivisor(a, b)) * b;

const greatestCommonDivisor = (a: number, b: number): number =>
  b === 0 ? a : greatestCommonDivisor(b, a % b);
