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
