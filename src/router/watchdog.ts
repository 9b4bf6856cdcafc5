import type { Clock } from '../base/clock.ts';

const checkEveryMs = 200;

export interface Watchdog {
  /** Something came: the time begins anew. */
  touch(): void;
  stop(): void;
}

/**
 * Calls `onExpired` once when nothing came for `limitMs()`, which is asked again at each check, so that the
 * limit may change with the phase. Stopped by itself after that.
 */
export const startWatchdog = (
  clock: Clock,
  limitMs: () => number,
  onExpired: () => void,
): Watchdog => {
  let lastMs = clock.monotonicMs();
  const check = () => {
    if (clock.monotonicMs() - lastMs > limitMs()) onExpired();
    else cancel = clock.after(checkEveryMs, check);
  };
  let cancel = clock.after(checkEveryMs, check);
  return {
    touch: () => {
      lastMs = clock.monotonicMs();
    },
    stop: () => cancel(),
  };
};
