/** Randomness as an argument: a function that gives a number in [0, 1). */
export type Random = () => number;

/** Mulberry32: small, fast, seedable; the same seed gives the same run. Not for secrets. */
export const seededRandom = (seed: number): Random => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
};

/** Exponential backoff with full jitter in its upper half: between half of and the whole of min(max, base × 2^attempt). */
export const backoffMs = (
  attempt: number,
  options: { baseMs: number; maxMs: number },
  random: Random,
): number => {
  const ceilingMs = Math.min(options.maxMs, options.baseMs * 2 ** Math.min(attempt, 30));
  return ceilingMs / 2 + (ceilingMs / 2) * random();
};
