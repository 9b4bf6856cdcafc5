import { delay } from '../../base/clock.ts';
import type { Clock } from '../../base/clock.ts';

export interface RateLimit {
  perSecond: number;
  /** How many may go at once after a pause. */
  burst: number;
}

/**
 * A queue in front of the server: `take` resolves when it is the caller's turn, in order of calling, or as soon
 * as the signal aborts.
 */
export const createTokenBucket = (
  { perSecond, burst }: RateLimit,
  clock: Clock,
): { take(signal: AbortSignal): Promise<void> } => {
  let tokens = burst;
  let atMs = clock.monotonicMs();
  return {
    take: async (signal) => {
      const nowMs = clock.monotonicMs();
      tokens = Math.min(burst, tokens + ((nowMs - atMs) / 1000) * perSecond) - 1;
      atMs = nowMs;
      if (tokens < 0) await delay(clock, (-tokens / perSecond) * 1000, signal);
    },
  };
};
