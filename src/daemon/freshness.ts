import { stat, unlink, writeFile } from 'node:fs/promises';
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

  /**
   * Throws RankUnresponsive. An engine without a status file is not judged, nor is one that cannot write it:
   * a full disk must not end what serves.
   */
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
    if (!(await isWritable(runDirectory))) {
      lastChangeMs = nowMs;
      return;
    }
    throw new EspalierError(
      'RankUnresponsive',
      `the process exists, but has not written its status for ${staleMs / 1000} s: ` +
        'it is stopped, or hangs',
      { file, staleMs },
    );
  };
};

/** Whether a file of a status file's size can be written; one block, for a disk with none left. */
const isWritable = async (directory: string): Promise<boolean> => {
  const probe = join(directory, 'write-probe');
  try {
    await writeFile(probe, Buffer.alloc(4096), { mode: 0o600 });
    return true;
  } catch {
    return false;
  } finally {
    await unlink(probe).catch(() => {});
  }
};
