import type { Clock } from '../base/clock.ts';
import { EspalierError } from '../base/errors.ts';
import type { ErrorCode } from '../base/errors.ts';

/**
 * Runs `work` for at most `limitMs`, then aborts its signal and throws `code`, whether or not it heeds the
 * signal. When `signal` aborts first, throws its reason.
 */
export const within = async <T>(
  clock: Clock,
  { limitMs, signal, code, message }: WithinOptions,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> => {
  const limit = new AbortController();
  const combined = AbortSignal.any([signal, limit.signal]);
  const cancelTimer = clock.after(limitMs, () => {
    limit.abort(new EspalierError(code, `${message} within ${limitMs / 1000} s`, { limitMs }));
  });
  try {
    return await Promise.race([aborted(combined), work(combined)]);
  } catch (error) {
    // A work that heeds the signal may fail in its own words; the deadline is what happened.
    combined.throwIfAborted();
    throw error;
  } finally {
    cancelTimer();
    // Lets go of the listener that `aborted` holds.
    limit.abort();
  }
};

interface WithinOptions {
  limitMs: number;
  signal: AbortSignal;
  code: ErrorCode;
  /** What did not happen, for instance "the weights were not checked". */
  message: string;
}

/** Rejects with the signal's reason once it aborts. */
const aborted = async (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    const fail = () => reject(signal.reason as Error);
    if (signal.aborted) return fail();
    signal.addEventListener('abort', fail, { once: true });
  });
