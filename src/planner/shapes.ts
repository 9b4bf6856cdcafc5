import type { EngineCapability } from '../catalogue/engine-capabilities.ts';
import type { ModelDeploymentSpec } from '../resources/types.ts';

/** How a model is cut: each of `pipelineSize` stages over `tensorSize` ranks. */
export interface Shape {
  tensorSize: number;
  pipelineSize: number;
}

export const worldSize = (shape: Shape): number => shape.tensorSize * shape.pipelineSize;

export const strategyOf = (shape: Shape): 'Single' | 'Tensor' | 'Pipeline' | 'Hybrid' => {
  if (shape.tensorSize > 1) return shape.pipelineSize > 1 ? 'Hybrid' : 'Tensor';
  return shape.pipelineSize > 1 ? 'Pipeline' : 'Single';
};

/** "Tensor 4", "Hybrid 2 × 3" (tensor × pipeline). */
export const shapeLabel = (shape: Shape): string => {
  const strategy = strategyOf(shape);
  if (strategy === 'Single') return strategy;
  if (strategy === 'Hybrid') return `${strategy} ${shape.tensorSize} × ${shape.pipelineSize}`;
  return `${strategy} ${worldSize(shape)}`;
};

/**
 * The cuts that the deployment asks for, in the order they are tried: exactly one when its sizes are given,
 * else from the fewest ranks up. Cuts that need more than `nodeCount` ranks are left out of open-ended lists,
 * but for the smallest, so that there is always one to explain.
 */
export const askedShapes = (
  parallelism: ModelDeploymentSpec['parallelism'],
  engine: EngineCapability,
  limits: { layers: number; nodeCount: number },
): Shape[] => {
  const { strategy, tensorSize, pipelineSize } = parallelism;
  const all = allShapes(engine, limits).filter(
    (shape) =>
      (strategy === 'Auto' || strategyOf(shape) === strategy) &&
      (tensorSize === undefined || shape.tensorSize === tensorSize) &&
      (pipelineSize === undefined || shape.pipelineSize === pipelineSize),
  );
  const exact = exactShape(parallelism);
  if (exact) return [exact];
  if (all.length === 0) return [{ tensorSize: tensorSize ?? 1, pipelineSize: pipelineSize ?? 2 }];
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
  engine: EngineCapability,
  { layers, nodeCount }: { layers: number; nodeCount: number },
): Shape[] => {
  const mostStages = Math.min(layers, Math.max(2, nodeCount));
  const tensor = engine.tensorSizes.map((tensorSize) => ({ tensorSize, pipelineSize: 1 }));
  const staged = engine.tensorSizes
    .flatMap((tensorSize) =>
      Array.from({ length: Math.max(0, mostStages - 1) }, (_, index) => ({
        tensorSize,
        pipelineSize: index + 2,
      })),
    )
    .toSorted((a, b) => worldSize(a) - worldSize(b) || a.tensorSize - b.tensorSize);
  return [...tensor, ...staged];
};
