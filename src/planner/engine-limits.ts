import type { EngineFacts } from '../catalogue/facts.ts';
import type { ModelProfile } from '../catalogue/model-profile.ts';
import { indivisible } from './divisibility.ts';
import type { Refusal } from './refusal.ts';
import { shapeLabel } from './shapes.ts';
import type { Shape } from './shapes.ts';

/** Largest group that the API can ask for. */
export const mostRanks = 64;

/** Most ranks that share a layer unless more are asked for: a full mesh of Thunderbolt has no more. */
const mostTensorRanks = 8;

/** Tensor sizes to try, ascending from 1: those that the engine names, or any that divides this model. */
export const tensorSizesOf = (engine: EngineFacts, model: ModelProfile): readonly number[] => {
  const sizes = engine.tensor?.sizes;
  if (!sizes || !includes(engine.tensor?.architectures, model.architecture)) return [1];
  if (sizes !== 'Any') return sizes.includes(1) ? sizes : [1, ...sizes];
  return Array.from({ length: mostTensorRanks }, (_, index) => index + 1).filter(
    (size) =>
      size === 2 || size === 4 || !indivisible(model, { tensorSize: size, pipelineSize: 1 }),
  );
};

/** Numbers of nodes to try with whole experts: from two up, as long as each has one. */
export const expertSizesOf = ({ expert }: EngineFacts, model: ModelProfile): number[] => {
  const count = model.layers.find(({ experts }) => experts)?.experts?.count ?? 0;
  if (!expert || !includes(expert.architectures, model.architecture)) return [];
  return Array.from(
    { length: Math.max(0, Math.min(mostTensorRanks, count) - 1) },
    (_, at) => at + 2,
  );
};

export const canStage = (engine: EngineFacts, model: ModelProfile): boolean =>
  engine.pipeline !== undefined && includes(engine.pipeline.architectures, model.architecture);

/** What ranks of this cut can exchange over with this engine. */
export const interconnectsOf = (
  engine: EngineFacts,
  { tensorSize, pipelineSize, expertSize }: Shape,
): readonly ('TCP' | 'RDMA')[] => {
  if (expertSize !== undefined) return engine.expert ? engine.expert.interconnects : [];
  const tensor = tensorSize > 1 ? (engine.tensor?.interconnects ?? []) : undefined;
  const stages = pipelineSize > 1 ? (engine.pipeline?.interconnects ?? []) : undefined;
  if (tensor && stages) return tensor.filter((mode) => stages.includes(mode));
  return tensor ?? stages ?? [];
};

/** Why this cut can never work with this model and engine, whatever the nodes; undefined when it can. */
export const impossible = (
  model: ModelProfile,
  shape: Shape,
  engine: EngineFacts,
): Refusal | undefined => {
  const isWhole = shape.expertSize !== undefined && engine.expert && engine.expert.rest === 'Whole';
  const never = isWhole ? undefined : indivisible(model, shape);
  if (never) return never;
  const message = engineLimit(model, shape, engine);
  if (message === undefined) return undefined;
  return { option: shapeLabel(shape), reason: 'NotAvailableYet', message, terminal: true };
};

const engineLimit = (
  model: ModelProfile,
  { tensorSize, pipelineSize, expertSize }: Shape,
  engine: EngineFacts,
): string | undefined => {
  const { name, tensor, pipeline } = engine;
  if (expertSize !== undefined) {
    return expertSizesOf(engine, model).includes(expertSize)
      ? undefined
      : `engine ${name} cannot place the experts of ${model.architecture} models whole on ${expertSize} nodes`;
  }
  if (tensorSize > 1) {
    if (!tensor) return `engine ${name} cannot cut a layer: set spec.parallelism.strategy to Auto`;
    if (!includes(tensor.architectures, model.architecture)) {
      return `engine ${name} cannot cut the layers of ${model.architecture} models`;
    }
    if (tensor.sizes !== 'Any' && !tensor.sizes.includes(tensorSize)) {
      return `engine ${name} cuts a layer over ${tensor.sizes.join(', ')} ranks, not over ${tensorSize}: set spec.parallelism.tensorSize to one of these`;
    }
  }
  if (pipelineSize > 1) {
    if (!pipeline) return `engine ${name} cannot run a model in stages`;
    if (!includes(pipeline.architectures, model.architecture)) {
      return `engine ${name} cannot run ${model.architecture} models in stages`;
    }
  }
  return undefined;
};

/** Whether a list of families, or all of them, has this one. */
export const includes = (
  families: readonly string[] | 'Any' | undefined,
  family: string,
): boolean => families === 'Any' || (families?.includes(family) ?? false);
