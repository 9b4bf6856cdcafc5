import type { EngineFacts } from '../catalogue/facts.ts';

/** How a model is cut: each of `pipelineSize` stages over `tensorSize` ranks. */
export interface Shape {
  tensorSize: number;
  pipelineSize: number;
  /** As many as tensor ranks: experts are whole, each on one of them. Absent: sliced like the rest. */
  expertSize?: number;
}

export const worldSize = (shape: Shape): number => shape.tensorSize * shape.pipelineSize;

export const strategyOf = (shape: Shape): 'Single' | 'Tensor' | 'Pipeline' | 'Hybrid' => {
  if (shape.tensorSize > 1) return shape.pipelineSize > 1 ? 'Hybrid' : 'Tensor';
  return shape.pipelineSize > 1 ? 'Pipeline' : 'Single';
};

/** "Tensor 4", "Hybrid 2 × 3" (tensor × pipeline). */
export const shapeLabel = (shape: Shape): string => {
  if (shape.expertSize !== undefined) return `Expert ${shape.expertSize}`;
  const strategy = strategyOf(shape);
  if (strategy === 'Single') return strategy;
  if (strategy === 'Hybrid') return `${strategy} ${shape.tensorSize} × ${shape.pipelineSize}`;
  return `${strategy} ${worldSize(shape)}`;
};

/** Ranks that what is not an expert is divided among. */
export const restSize = (
  { tensorSize, expertSize }: Pick<Shape, 'tensorSize' | 'expertSize'>,
  { expert }: EngineFacts,
): number => (expertSize !== undefined && expert && expert.rest === 'Whole' ? 1 : tensorSize);
