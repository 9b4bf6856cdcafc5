import { randomUUID } from 'node:crypto';
import { delay } from '../base/clock.ts';
import type { Clock } from '../base/clock.ts';
import { EspalierError, errorFacts, errorKind } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { WorkQueue } from './queue.ts';

/** What a reconcile that did not fail says: nothing left to do, or look again after a while. */
export type Outcome = { kind: 'done' } | { kind: 'waiting'; afterMs: number };

export const done: Outcome = { kind: 'done' };

/** How a reconcile ended: controller-runtime's words, and whether an error is worth another try. */
export type ReconcileResult = 'success' | 'requeue_after' | 'error' | 'terminal_error';

/** After this time a key whose reconcile threw an error of kind `waiting` is looked at again. */
const waitingErrorMs = 5000;

export interface LoopOptions {
  queue: WorkQueue;
  /** Gets a key and nothing else; reads the world itself. */
  reconcile: (key: string, logger: Logger) => Promise<Outcome>;
  workers: number;
  clock: Clock;
  logger: Logger;
  /** A newer control plane has taken over: nothing may be written or published from here on. */
  onFenced: (error: EspalierError) => void;
  onReconciled?: (key: string, result: ReconcileResult, durationMs: number) => void;
}

export interface Loop {
  start(): void;
  /** Reconciles a key out of turn, before the loop was started; its outcome is handled as in the loop. */
  runNow(key: string): Promise<void>;
  /** Lets running reconciles end, at most for `deadlineMs`. Resolves to whether all did. */
  stop(deadlineMs: number): Promise<boolean>;
}

/** Runs `workers` reconciles at a time. A reconcile that throws never stops the loop. */
export const createLoop = ({
  queue,
  reconcile,
  workers,
  clock,
  logger,
  onFenced,
  onReconciled,
}: LoopOptions): Loop => {
  let running: Promise<void>[] = [];

  const work = async (): Promise<void> => {
    for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
      await reconcileOne(key);
      queue.done(key);
    }
  };

  const reconcileOne = async (key: string): Promise<void> => {
    const startMs = clock.monotonicMs();
    const result = await attempt(key);
    onReconciled?.(key, result, clock.monotonicMs() - startMs);
  };

  const attempt = async (key: string): Promise<ReconcileResult> => {
    const keyLogger = logger.child({ key, reconcileId: randomUUID() });
    try {
      const outcome = await reconcile(key, keyLogger);
      queue.forget(key);
      if (outcome.kind === 'done') return 'success';
      queue.addAfter(key, outcome.afterMs);
      return 'requeue_after';
    } catch (error) {
      return handleError(key, error, keyLogger);
    }
  };

  const handleError = (key: string, error: unknown, keyLogger: Logger): ReconcileResult => {
    if (error instanceof EspalierError && error.code === 'EpochFenced') {
      onFenced(error);
      return 'terminal_error';
    }
    const kind = errorKind(error);
    keyLogger.warn({ kind, ...errorFacts(error) }, 'reconcile failed');
    if (kind === 'retry') {
      queue.addRateLimited(key);
      return 'error';
    }
    queue.forget(key);
    if (kind === 'terminal') return 'terminal_error';
    queue.addAfter(key, waitingErrorMs);
    return 'requeue_after';
  };

  const start = (): void => {
    running = Array.from({ length: workers }, work);
  };

  const stop = async (deadlineMs: number): Promise<boolean> => {
    queue.shutDown();
    const overdue = new AbortController();
    const all = Promise.all(running).then(() => true);
    const timeout = delay(clock, deadlineMs, overdue.signal).then(() => false);
    return Promise.race([all, timeout]).finally(() => overdue.abort());
  };

  return { start, runNow: reconcileOne, stop };
};
