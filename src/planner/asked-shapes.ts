import type { EngineFacts } from '../catalogue/facts.ts';
import type { ModelProfile } from '../catalogue/model-profile.ts';
import type { ModelDeploymentSpec } from '../resources/types.ts';
import { canStage, expertSizesOf, mostRanks, tensorSizesOf } from './engine-limits.ts';
import { strategyOf, worldSize } from './shapes.ts';
import type { Shape } from './shapes.ts';

/**
 * The cuts that the deployment asks for, in the order they are tried: exactly one when its sizes are given,
 * else from the fewest ranks up. Cuts that need more than `nodeCount` ranks are left out of open-ended lists,
 * but for the smallest, so that there is always one to explain.
 */
export const askedShapes = (
  parallelism: Parallelism,
  engine: EngineFacts,
  { model, nodeCount }: { model: ModelProfile; nodeCount: number },
): readonly Shape[] => {
  const ofModel = kept.get(model) ?? new WeakMap<EngineFacts, Map<string, readonly Shape[]>>();
  kept.set(model, ofModel);
  const ofEngine = ofModel.get(engine) ?? new Map<string, readonly Shape[]>();
  ofModel.set(engine, ofEngine);
  const { strategy, tensorSize, pipelineSize, expertSize } = parallelism;
  // No cut has more ranks, so more nodes make no more cuts.
  const most = Math.min(nodeCount, mostRanks);
  const key = `${strategy}/${tensorSize}/${pipelineSize}/${expertSize}/${most}`;
  const shapes = ofEngine.get(key) ?? shapesFor(parallelism, engine, { model, nodeCount: most });
  ofEngine.set(key, shapes);
  return shapes;
};

type Parallelism = ModelDeploymentSpec['parallelism'];

/** The same request gets the same list, for as long as the model is kept. */
const kept = new WeakMap<ModelProfile, WeakMap<EngineFacts, Map<string, readonly Shape[]>>>();

const shapesFor = (
  parallelism: Parallelism,
  engine: EngineFacts,
  limits: { model: ModelProfile; nodeCount: number },
): Shape[] => {
  const { strategy, tensorSize, pipelineSize, expertSize } = parallelism;
  // Where the engine cannot do what was asked, the plan says so beside one that it can.
  const asksExperts = expertSize !== undefined && expertSizesOf(engine, limits.model).length > 0;
  const all = allShapes(engine, limits).filter(
    (shape) =>
      (strategy === 'Auto' || strategyOf(shape) === strategy) &&
      (tensorSize === undefined || shape.tensorSize === tensorSize) &&
      (pipelineSize === undefined || shape.pipelineSize === pipelineSize) &&
      (!asksExperts || shape.expertSize === expertSize),
  );
  const exact = exactShape(parallelism);
  if (exact) return [exact];
  if (all.length === 0) {
    // What was asked for, so that it is told why it cannot be.
    const cutsLayers = strategy === 'Tensor' || strategy === 'Hybrid';
    const hasStages = strategy === 'Pipeline' || strategy === 'Hybrid';
    return [
      {
        tensorSize: tensorSize ?? (cutsLayers ? 2 : 1),
        pipelineSize: pipelineSize ?? (hasStages ? 2 : 1),
      },
    ];
  }
  const reachable = all.filter((shape) => worldSize(shape) <= limits.nodeCount);
  return reachable.length > 0 ? reachable : all.slice(0, 1);
};

/** The one cut that the sizes pin down, if they do. */
export const exactShape = ({
  strategy,
  tensorSize,
  pipelineSize,
}: ModelDeploymentSpec['parallelism']): Shape | undefined => {
  if (strategy === 'Single') return { tensorSize: 1, pipelineSize: 1 };
  if (strategy === 'Tensor' && tensorSize) return { tensorSize, pipelineSize: 1 };
  if (strategy === 'Pipeline' && pipelineSize) return { tensorSize: 1, pipelineSize };
  if (tensorSize && pipelineSize) return { tensorSize, pipelineSize };
  return undefined;
};

/** Single, then tensor groups, then what has stages: by ranks, and plain pipelines before hybrids of equal size. */
const allShapes = (
  engine: EngineFacts,
  { model, nodeCount }: { model: ModelProfile; nodeCount: number },
): Shape[] => {
  const sizes = tensorSizesOf(engine, model);
  const cut = sizes.map((tensorSize): Shape => ({ tensorSize, pipelineSize: 1 }));
  const experts = expertSizesOf(engine, model).map((size): Shape => ({
    tensorSize: size,
    pipelineSize: 1,
    expertSize: size,
  }));
  const tensor = [...cut, ...experts];
  if (!canStage(engine, model)) return tensor;
  const mostStages = Math.min(model.layers.length, Math.max(2, nodeCount));
  const staged = sizes
    .flatMap((tensorSize) => {
      const most = Math.min(mostStages, Math.floor(mostRanks / tensorSize));
      return Array.from({ length: Math.max(0, most - 1) }, (_, index) => ({
        tensorSize,
        pipelineSize: index + 2,
      }));
    })
    .toSorted((a, b) => worldSize(a) - worldSize(b) || a.tensorSize - b.tensorSize);
  return [...tensor, ...staged];
};
