import { systemClock } from '../../src/base/clock.ts';
import type { Clock } from '../../src/base/clock.ts';

/** The system's clock, but its monotonic time can be moved forward. Timers stay real. */
export const offsetClock = (): Clock & { advance(ms: number): void } => {
  let offsetMs = 0;
  return {
    ...systemClock,
    monotonicMs: () => systemClock.monotonicMs() + offsetMs,
    advance: (ms) => {
      offsetMs += ms;
    },
  };
};
