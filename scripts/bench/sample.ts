/** What several rounds gave. On a shared machine the range says more than the median. */
export interface Sample {
  median: number;
  minimum: number;
  maximum: number;
}

/** Expects at least one value. */
export const sampleOf = (values: readonly number[]): Sample => {
  const sorted = values.toSorted((left, right) => left - right);
  const at = (index: number): number => sorted[Math.floor(index)]!;
  const middle = (sorted.length - 1) / 2;
  return {
    median: (at(middle) + at(Math.ceil(middle))) / 2,
    minimum: at(0),
    maximum: at(sorted.length - 1),
  };
};

/** "18.9 (18.0–20.0)" */
export const formatSample = ({ median, minimum, maximum }: Sample, digits = 1): string =>
  `${median.toFixed(digits)} (${minimum.toFixed(digits)}–${maximum.toFixed(digits)})`;
