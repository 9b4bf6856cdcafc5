import { EspalierError } from '../../base/errors.ts';
import { backoffMs } from '../../base/random.ts';
import type { Random } from '../../base/random.ts';

/**
 * What repeating a request does. `once`: it may do the same thing twice (create). `repeatable`: nothing more than
 * the first time. `apply`: as repeatable, and a lost race of the server with itself is worth another try.
 */
export type Repetition = 'once' | 'repeatable' | 'apply';

const maxAttempts = 10;
const maxRetryAfterMs = 30_000;
/** What a server says that failed on its way; 501 and 505 will say the same again. */
const passing = new Set([0, 500, 502, 503, 504]);

/** How long to wait before the next attempt, or undefined: do not try again. `attempt` counts from 0. */
export const retryDelayMs = (
  error: unknown,
  attempt: number,
  repetition: Repetition,
  random: Random,
): number | undefined => {
  if (!(error instanceof EspalierError) || attempt + 1 >= maxAttempts) return undefined;
  if (!isWorthRetrying(error, repetition)) return undefined;
  const askedMs = Number(error.facts['retryAfterMs'] ?? 0);
  const ownMs = backoffMs(attempt, { baseMs: 200, maxMs: 5000 }, random);
  // Jitter on top of what was asked, or all who were refused together come back together.
  return Math.min(askedMs, maxRetryAfterMs) + ownMs;
};

const isWorthRetrying = ({ code, facts }: EspalierError, repetition: Repetition): boolean => {
  const mayRepeat = repetition !== 'once';
  switch (code) {
    case 'ApiOverloaded':
      return true;
    case 'ApiUnreachable':
      return mayRepeat || facts['isSent'] === false;
    case 'ApiFailed':
      return mayRepeat && passing.has(Number(facts['status']));
    case 'ObjectChanged':
    case 'ObjectConflict':
      return repetition === 'apply' && facts['isFieldConflict'] !== true;
    default:
      return false;
  }
};
