import type { ModelDeploymentSpec } from '../resources/types.ts';
import { strategyOf, worldSize } from './shapes.ts';
import type { Shape } from './shapes.ts';

export interface Rung {
  shape: Shape;
  degradedBy: ('FewerNodes' | 'Pipeline')[];
}

/**
 * What may be tried when the cut that was asked for has no room: fewer ranks of the same kind (down to one
 * node), then stages in place of tensor parallelism; each as `allow` permits, what gives up least first. `tensorSizes` are those that the engine has.
 */
export const ladder = (
  asked: Shape,
  allow: ModelDeploymentSpec['degradation']['allow'],
  tensorSizes: readonly number[],
): Rung[] => {
  const fewer = allow.includes('FewerNodes');
  const rungs: Rung[] = [];
  if (fewer) {
    const shapes = smallerShapes(asked, tensorSizes);
    rungs.push(...shapes.map((shape) => ({ shape, degradedBy: ['FewerNodes' as const] })));
  }
  if (allow.includes('Pipeline') && asked.tensorSize > 1) {
    const ranks = worldSize(asked);
    const fewestStages = fewer ? 2 : ranks;
    for (let stages = ranks; stages >= fewestStages; stages -= 1) {
      rungs.push({
        shape: { tensorSize: 1, pipelineSize: stages },
        degradedBy: stages < ranks ? ['FewerNodes', 'Pipeline'] : ['Pipeline'],
      });
    }
  }
  return rungs;
};

/** Smaller cuts of the same kind, and one node at last; a hybrid may lose stages or tensor ranks. */
const smallerShapes = (asked: Shape, tensorSizes: readonly number[]): Shape[] => {
  const shapes: Shape[] = [];
  for (const tensorSize of tensorSizes) {
    for (let pipelineSize = 1; pipelineSize <= asked.pipelineSize; pipelineSize += 1) {
      const shape = { tensorSize, pipelineSize };
      const smaller = worldSize(shape) < worldSize(asked) && tensorSize <= asked.tensorSize;
      const sameKind = asked.tensorSize === 1 || tensorSize > 1;
      if (smaller && (sameKind || strategyOf(shape) === 'Single')) shapes.push(shape);
    }
  }
  return shapes.toSorted((a, b) => worldSize(b) - worldSize(a) || b.tensorSize - a.tensorSize);
};
