import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { EspalierError } from '../base/errors.ts';

/**
 * Tells a process that works from one that only exists (SIGSTOP, a hang in the kernel): the first writes
 * its status file at least every second. Measured from when we saw the file change, by our own monotonic
 * clock, so that wall time may jump; a pause of our own gives the rank a new period.
 */
export const createFreshness = (clock: Clock, runDirectory: string, staleMs: number) => {
  const file = join(runDirectory, 'status.json');
  let lastMtimeMs: number | undefined;
  let lastChangeMs = clock.monotonicMs();
  let lastLookMs = lastChangeMs;

  /** Throws RankUnresponsive. An engine without a status file is not judged. */
  return async (): Promise<void> => {
    const mtimeMs = await stat(file).then(
      (found) => found.mtimeMs,
      () => undefined,
    );
    const nowMs = clock.monotonicMs();
    const wasPaused = nowMs - lastLookMs > staleMs / 2;
    lastLookMs = nowMs;
    if (mtimeMs === undefined || mtimeMs !== lastMtimeMs || wasPaused) {
      lastMtimeMs = mtimeMs;
      lastChangeMs = nowMs;
      return;
    }
    if (nowMs - lastChangeMs <= staleMs) return;
    throw new EspalierError(
      'RankUnresponsive',
      `the process exists, but has not written its status for ${staleMs / 1000} s: ` +
        'it is stopped, or hangs',
      { file, staleMs },
    );
  };
};
