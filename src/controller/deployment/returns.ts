import type { Clock } from '../../base/clock.ts';

/** A better plan must have been possible for this long before a group is restarted for it: nodes may flap. */
const returnAfterMs = 30_000;

/** Watches for how long a degraded group could have had the plan that was asked for. */
export interface Returns {
  /** Tells whether a better plan is possible now; true once it has been for long enough. */
  isDue(group: string, isBetterPossible: boolean): boolean;
}

export const createReturns = (clock: Clock): Returns => {
  const possibleSinceMs = new Map<string, number>();
  return {
    isDue: (group, isBetterPossible) => {
      if (!isBetterPossible) {
        possibleSinceMs.delete(group);
        return false;
      }
      const sinceMs = possibleSinceMs.get(group) ?? clock.monotonicMs();
      possibleSinceMs.set(group, sinceMs);
      const isDue = clock.monotonicMs() - sinceMs >= returnAfterMs;
      if (isDue) possibleSinceMs.delete(group);
      return isDue;
    },
  };
};
