import { EspalierError } from '../../base/errors.ts';
import { backoffMs } from '../../base/random.ts';
import type { Random } from '../../base/random.ts';
import type { WatchEvent } from './client.ts';

export interface AfterFailure {
  /** Where the watch stood is worth nothing any more. */
  mustRelist: boolean;
  /** This server does not stream lists (the feature is off, or it is older): ask for pages from now on. */
  mustPage: boolean;
}

/** After so many answers in a row that are errors, the fault may be in where the watch stands. */
const maxRefusals = 3;

/** What a failed list or watch means. `failures` are those in a row before this one. */
export const afterFailure = (
  error: unknown,
  failures: number,
  wasStreamingList: boolean,
): AfterFailure => {
  const { code, facts } = error instanceof EspalierError ? error : { code: undefined, facts: {} };
  const isUnanswered = code === 'ApiUnreachable' || code === 'ApiOverloaded';
  return {
    mustRelist:
      code === 'ApiGone' ||
      code === 'ApiResourceMissing' ||
      (!isUnanswered && failures + 1 >= maxRefusals),
    mustPage: wasStreamingList && code === 'ApiInvalid' && facts['status'] !== undefined,
  };
};

const firstWaitMs = 1600;
const maxWaitMs = 30_000;
const maxRetryAfterMs = 60_000;

/** 0.8 to 30 s, doubled per failure in a row and jittered; what the server asks for comes on top. */
export const nextWaitMs = (error: unknown, failures: number, random: Random): number => {
  const askedMs = error instanceof EspalierError ? Number(error.facts['retryAfterMs'] ?? 0) : 0;
  return (
    Math.min(askedMs, maxRetryAfterMs) +
    backoffMs(failures, { baseMs: firstWaitMs, maxMs: maxWaitMs }, random)
  );
};

/** A stream that ends within a second and told nothing would be reopened for ever without a pause. */
export const isHealthyStream = (events: number, lifetimeMs: number): boolean =>
  events > 0 || lifetimeMs >= 1000;

/** An ERROR event as the error that the same status is as an answer. */
export const streamError = (
  { status, reason, message }: Extract<WatchEvent<unknown>, { type: 'ERROR' }>,
  plural: string,
): EspalierError => {
  const code =
    status === 410 || reason === 'Expired' || reason === 'Gone'
      ? 'ApiGone'
      : status === 429
        ? 'ApiOverloaded'
        : 'ApiFailed';
  const text = `the watch of ${plural} answered ${status}: ${message || reason}`;
  return new EspalierError(code, text, { status, reason });
};
