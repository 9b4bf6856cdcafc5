/** One measurement of a running group beside what was predicted for the same load. */
export interface Observation {
  observedTokensPerSecond: number;
  predictedTokensPerSecond: number;
}

/** A group that is far off is broken (thermal, swapping), not mispredicted; it must not teach the planner. */
const smallest = 0.5;
const largest = 2;
const fewest = 3;

/**
 * What predictions for one chip, engine and family are multiplied with: the median of observed ÷ predicted, from
 * 0.5 to 2. Undefined with fewer than three observations. The caller passes recent ones, in any order.
 */
export const correctionOf = (observations: readonly Observation[]): number | undefined => {
  const ratios = observations
    .map(
      ({ observedTokensPerSecond, predictedTokensPerSecond }) =>
        observedTokensPerSecond / predictedTokensPerSecond,
    )
    .filter((ratio) => Number.isFinite(ratio) && ratio > 0)
    .toSorted((a, b) => a - b);
  if (ratios.length < fewest) return undefined;
  const [low, high] = [ratios[(ratios.length - 1) >> 1] ?? 1, ratios[ratios.length >> 1] ?? 1];
  return Math.min(largest, Math.max(smallest, (low + high) / 2));
};

/** What the decode speed of a family on a chip with an engine is multiplied with. */
export interface Correction {
  /** "M4 Max". */
  chip: string;
  engine: string;
  /** config.json's model_type. */
  architecture: string;
  factor: number;
}

/** Of the group as a whole: its slowest chip sets the pace; undefined where none of its chips was measured. */
export const correctionFor = (
  corrections: readonly Correction[],
  {
    engine,
    architecture,
    chips,
  }: { engine: string; architecture: string; chips: readonly string[] },
): number | undefined => {
  const known = corrections.filter(
    (each) =>
      each.engine === engine && each.architecture === architecture && chips.includes(each.chip),
  );
  if (known.length === 0) return undefined;
  const unmeasured = chips.some((chip) => known.every((each) => each.chip !== chip)) ? [1] : [];
  return Math.min(...known.map(({ factor }) => factor), ...unmeasured);
};
