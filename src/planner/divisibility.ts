import type { ModelProfile } from '../catalogue/model-profile.ts';
import { shapeLabel } from './shapes.ts';
import type { Shape } from './shapes.ts';
import type { Refusal } from './refusal.ts';

/** Why this model can never be cut like this, whatever engine and nodes; undefined when it can. */
export const indivisible = (model: ModelProfile, shape: Shape): Refusal | undefined => {
  const refusal = tooManyStages(model, shape) ?? uneven(model, shape.tensorSize);
  return refusal && { option: shapeLabel(shape), terminal: true, ...refusal };
};

type Cause = Pick<Refusal, 'reason' | 'message'>;

const tooManyStages = (model: ModelProfile, { pipelineSize }: Shape): Cause | undefined =>
  pipelineSize <= model.layers.length
    ? undefined
    : {
        reason: 'InsufficientLayers',
        message: `${pipelineSize} stages need at least ${pipelineSize} layers, the model has ${model.layers.length}`,
      };

/** The catalogue says what is divided; here is only the arithmetic. */
const uneven = (model: ModelProfile, ranks: number): Cause | undefined => {
  if (model.basis !== 'Architecture' && ranks > 1) {
    return {
      reason: 'IncompatibleModel',
      message: `how layers of architecture ${model.architecture} can be divided is not known; its ${model.layers.length} layers can go to stages whole`,
    };
  }
  const divisor = model.divisors.find(({ count }) => count % ranks !== 0);
  if (!divisor) return undefined;
  const { reason, count, what, detail } = divisor;
  const whole = detail === undefined ? '' : ` ${detail}`;
  return {
    reason,
    message: `${count} ${what}${whole} cannot be divided among ${ranks} tensor ranks`,
  };
};
