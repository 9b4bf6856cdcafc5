import { delay } from '../base/clock.ts';
import type { Clock } from '../base/clock.ts';
import { EspalierError, errorKind, errorMessage } from '../base/errors.ts';
import type { Engine } from '../engines/engine.ts';
import type { RankAssignment } from '../nodedoc/types.ts';
import { within } from './deadline.ts';

/** A single miss may be a burst of load; a second in a row, a whole period later, is not. */
const tolerated = 1;
const retryFirstMs = 250;

interface ProofOptions {
  clock: Clock;
  livenessMs: number;
  engine: Engine;
  assignment: RankAssignment;
  endpointUrl: string;
  /** True for a rank that an earlier daemon has proven: it is asked again at once, but counts as Ready. */
  isProven: boolean;
  onProven: () => void;
  signal: AbortSignal;
}

/**
 * Sends one token through all ranks, first to prove that the group serves, then for as long as it runs to
 * see that it still does: a process that is up proves nothing. Throws CanaryFailed, or when aborted.
 */
export const keepProving = async (options: ProofOptions): Promise<never> => {
  const { clock, livenessMs, signal } = options;
  if (!options.isProven) {
    await firstToken(options);
    options.onProven();
    await delay(clock, livenessMs, signal);
  }
  for (let misses = 0; ; await delay(clock, livenessMs, signal)) {
    signal.throwIfAborted();
    try {
      await oneToken(options, signal);
      misses = 0;
    } catch (error) {
      signal.throwIfAborted();
      misses += 1;
      if (misses > tolerated) throw canaryFailed(options, `${misses} times in a row`, error);
    }
  }
};

/** Tries until the deadline: the last rank may still be a moment behind the first. */
const firstToken = async (options: ProofOptions): Promise<void> => {
  let lastError: unknown;
  try {
    await within(options.clock, deadlineOf(options), async (signal) => {
      for (;;) {
        try {
          return await options.engine.canary(options.endpointUrl, options.assignment, signal);
        } catch (error) {
          signal.throwIfAborted();
          if (errorKind(error) === 'terminal') throw error;
          lastError = error;
          await delay(options.clock, retryFirstMs, signal);
        }
      }
    });
  } catch (error) {
    options.signal.throwIfAborted();
    if (errorKind(error) === 'terminal') throw error;
    throw canaryFailed(options, 'at the start', lastError ?? error);
  }
};

const oneToken = async (options: ProofOptions, signal: AbortSignal): Promise<void> =>
  within(options.clock, { ...deadlineOf(options), signal }, async (limited) =>
    options.engine.canary(options.endpointUrl, options.assignment, limited),
  );

const deadlineOf = ({ assignment, signal }: ProofOptions) => ({
  limitMs: assignment.deadlines.canaryMs,
  signal,
  code: 'CanaryFailed' as const,
  message: 'no token came through all ranks',
});

const canaryFailed = ({ assignment }: ProofOptions, when: string, cause: unknown): EspalierError =>
  new EspalierError(
    'CanaryFailed',
    `the canary of ${assignment.id} failed ${when}: ${errorMessage(cause)}`,
    cause instanceof EspalierError ? cause.facts : {},
    { cause },
  );
