import type { LayerRange } from './partition.ts';
import type { Shape } from './shapes.ts';
import type { MemoryBreakdown, PlannedRank } from './types.ts';

export type CutRank = Omit<PlannedRank, 'nodeName' | 'threads' | 'wiredLimitMiB'>;

/** The ranks of a cut: world rank = stage × tensorSize + tensorRank. */
export const cutRanks = (
  shape: Shape,
  ranges: readonly LayerRange[],
  memoryOf: (shape: Shape, stage: number, layers: LayerRange) => MemoryBreakdown,
): CutRank[] =>
  ranges.flatMap((layers, stage) => {
    const memory = memoryOf(shape, stage, layers);
    return Array.from({ length: shape.tensorSize }, (_, tensorRank) => ({
      rank: stage * shape.tensorSize + tensorRank,
      tensorRank,
      stage,
      ...layers,
      memory,
    }));
  });
