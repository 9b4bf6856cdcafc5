import type { EnginePerformance } from '../../catalogue/performance-facts.ts';
import { generationOf } from './generation.ts';
import type { PerformanceOption } from './option.ts';

/**
 * Factors below and above a prediction between which eight in ten measurements lie. The widths are those of the
 * fit's residuals, or, for families and generations that were not measured, of leaving such out.
 */
export const confidenceBand = (
  { model, stages, performance, correction }: PerformanceOption,
  { band, measuredArchitectures }: EnginePerformance,
): { low: number; high: number } => {
  const ranks = stages.flatMap((stage) => stage.ranks);
  const known =
    measuredArchitectures.includes(model.architecture) &&
    ranks.every(({ chip }) => {
      const own = generationOf(chip);
      return performance.generations.some(({ generation }) => generation === own);
    });
  // What the fleet measured itself has taken the rest of the error into the correction.
  const width = known || correction !== undefined ? band.known : band.unknown;
  const half = width + (ranks.length > 1 ? band.exchange : 0);
  return { low: 1 / (1 + half), high: 1 + half };
};
