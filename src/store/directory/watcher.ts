import { basename, resolve } from 'node:path';
import { watch } from 'chokidar';
import type { FSWatcher } from 'chokidar';
import type { Clock } from '../../base/clock.ts';
import { errorMessage } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';

export interface WatchTiming {
  /** Quiet time after the last event before a rescan: an unlink and an add within it are one update. */
  debounceMs: number;
  /** Rescans at the latest this long after the first event, however many follow. */
  maxWaitMs: number;
  /** Rescans at least this often, for events that a file system never told. */
  rescanMs: number;
}

export interface Watcher {
  /** Rescans after at most this time, unless one comes sooner. */
  rescanWithin(delayMs: number): void;
  /** Watches the directory anew: the old one was replaced by another of the same name. */
  rewatch(): void;
  /** Waits for a rescan that runs. */
  stop(): Promise<void>;
}

/**
 * Calls `rescan` after anything changed below the directory. Level-triggered: no event is looked at, each
 * only says that it is time to read everything again. `rescan` never runs twice at once.
 */
export const startWatcher = (options: {
  directory: string;
  /** May lie within the directory; what is written there is no reason to rescan. */
  stateDirectory: string;
  timing: WatchTiming;
  clock: Clock;
  logger: Logger;
  rescan: () => Promise<void>;
}): Watcher => {
  const { timing, clock, rescan } = options;
  let cancelTimer: (() => void) | undefined;
  let dueMs = Infinity;
  let firstEventMs: number | undefined;
  let running: Promise<void> | undefined;
  let isStopped = false;

  const scheduleAt = (atMs: number): void => {
    if (isStopped) return;
    cancelTimer?.();
    dueMs = atMs;
    cancelTimer = clock.after(Math.max(0, atMs - clock.monotonicMs()), fire);
  };

  const fire = (): void => {
    if (isStopped || running) return;
    firstEventMs = undefined;
    dueMs = Infinity;
    running = rescan()
      .catch((error: unknown) =>
        options.logger.error({ error: errorMessage(error) }, 'rescan failed'),
      )
      .finally(() => {
        running = undefined;
        // What was asked for meanwhile keeps its time; otherwise the periodic rescan is next.
        scheduleAt(Math.min(dueMs, clock.monotonicMs() + timing.rescanMs));
      });
  };

  const onEvent = (): void => {
    const now = clock.monotonicMs();
    firstEventMs ??= now;
    scheduleAt(Math.min(now + timing.debounceMs, firstEventMs + timing.maxWaitMs));
  };

  let files = watchFiles(options, onEvent);
  scheduleAt(clock.monotonicMs() + timing.rescanMs);
  return {
    rescanWithin: (delayMs) => scheduleAt(Math.min(dueMs, clock.monotonicMs() + delayMs)),
    rewatch: () => {
      if (isStopped) return;
      files.close().catch(() => {});
      files = watchFiles(options, onEvent);
    },
    stop: async () => {
      isStopped = true;
      cancelTimer?.();
      await running;
      await files.close();
    },
  };
};

/**
 * "raw" is heard beside chokidar's own events, because only it tells of the ..data link that a ConfigMap
 * mount swaps. A watcher that fails (too few inotify watches, say) leaves the periodic rescan.
 */
const watchFiles = (
  options: { directory: string; stateDirectory: string; logger: Logger },
  onEvent: () => void,
): FSWatcher => {
  const directory = resolve(options.directory);
  const stateDirectory = resolve(options.stateDirectory);
  const ignored = (path: string) =>
    path === stateDirectory || ['.git', 'node_modules'].includes(basename(path));
  return watch(directory, { ignoreInitial: true, ignored, ignorePermissionErrors: true })
    .on('all', onEvent)
    .on('raw', onEvent)
    .on('error', (error) => {
      options.logger.warn({ directory, error: errorMessage(error) }, 'cannot watch; rescans go on');
    });
};
