import { createHash } from 'node:crypto';
import { seededRandom } from '../../src/base/random.ts';
import type { Random } from '../../src/base/random.ts';

/** What a client asked the proxy for, as far as faults depend on it. */
export interface ProxyRequest {
  kind: 'watch' | 'list' | 'get' | 'write';
  method: string;
  /** Without the query. */
  path: string;
  /** How many requests of the same method, kind and path came before. */
  ordinal: number;
}

/** Instead of, or around, the answer of the server. Nothing is forwarded by those marked *. */
export type Fault =
  /** * The server's own refusal. */
  | { kind: 'status'; status: number; reason: string; retryAfterSeconds?: number }
  /** * The connection breaks before the server has seen anything. */
  | { kind: 'refuse' }
  /** * The request vanishes: no answer, no end. */
  | { kind: 'silence' }
  /** The server acts, and its answer is lost. */
  | { kind: 'lose-answer' }
  /** The answer is cut after so many bytes. */
  | { kind: 'truncate'; bytes: number }
  /** The answer comes in small pieces. */
  | { kind: 'slow' }
  | StreamFault;

/** A watch: lines that come twice or swapped, and an end after so many of them. */
export interface StreamFault {
  kind: 'stream';
  /** Of each line to come again, at once or after the next. */
  duplicate: number;
  /** Of each line to change places with the next. */
  reorder: number;
  end?: {
    afterLines: number;
    /** Silence: the connection stays open and says nothing more, as half-open ones do. */
    how: 'close' | 'cut' | 'cut-line' | 'garbage' | 'gone' | 'silence';
  };
}

/** How often something goes wrong, from 0 to 1. */
export interface FaultRates {
  requests: number;
  watches: number;
  /** Silence is slow to notice: its share of the faults, 0 to leave it out. */
  silence: number;
}

export const noFaults: FaultRates = { requests: 0, watches: 0, silence: 0 };

/**
 * What happens to a request: a function of the seed and of what is asked for the how-manieth time, so that neither
 * timing nor the order of requests for other things changes it.
 */
export const decideFault = (
  seed: number,
  rates: FaultRates,
  request: ProxyRequest,
): Fault | undefined => {
  const random = randomFor(seed, request);
  const rate = request.kind === 'watch' ? rates.watches : rates.requests;
  if (random() >= rate) return undefined;
  if (random() < rates.silence) return silence(request, random);
  return request.kind === 'watch' ? watchFault(random) : requestFault(request, random);
};

const randomFor = (seed: number, { kind, method, path, ordinal }: ProxyRequest): Random => {
  const digest = createHash('sha256').update(`${seed} ${method} ${kind} ${path} ${ordinal}`);
  return seededRandom(digest.digest().readUInt32LE());
};

const silence = ({ kind }: ProxyRequest, random: Random): Fault =>
  kind === 'watch' && random() < 0.7 ? streamFault(random, 'silence') : { kind: 'silence' };

const watchFault = (random: Random): Fault => {
  const common: Fault[] = [
    { kind: 'status', status: 410, reason: 'Expired' },
    tooManyRequests,
    unavailable,
    { kind: 'refuse' },
    { kind: 'slow' },
  ];
  const ends = ['close', 'cut', 'cut-line', 'garbage', 'gone'] as const;
  return random() < 0.35 ? pick(common, random) : streamFault(random, pick(ends, random));
};

const streamFault = (random: Random, how: NonNullable<StreamFault['end']>['how']): StreamFault => ({
  kind: 'stream',
  duplicate: random() * 0.5,
  reorder: random() * 0.5,
  end: { afterLines: Math.floor(random() * 12), how },
});

const tooManyRequests: Fault = {
  kind: 'status',
  status: 429,
  reason: 'TooManyRequests',
  retryAfterSeconds: 1,
};
const unavailable: Fault = { kind: 'status', status: 503, reason: 'ServiceUnavailable' };

const requestFault = ({ kind }: ProxyRequest, random: Random): Fault => {
  const any: Fault[] = [
    tooManyRequests,
    unavailable,
    { kind: 'status', status: 500, reason: 'InternalError' },
    { kind: 'refuse' },
    { kind: 'lose-answer' },
    { kind: 'truncate', bytes: Math.floor(random() * 400) },
    { kind: 'slow' },
  ];
  if (kind === 'list') any.push({ kind: 'status', status: 410, reason: 'Expired' });
  if (kind === 'write') any.push({ kind: 'status', status: 409, reason: 'Conflict' });
  return pick(any, random);
};

const pick = <T>(choices: readonly T[], random: Random): T =>
  choices[Math.floor(random() * choices.length)]!;

export const kindOf = (method: string, url: URL): ProxyRequest['kind'] => {
  if (method !== 'GET') return 'write';
  if (url.searchParams.has('watch')) return 'watch';
  const parts = url.pathname.split('/').filter(Boolean);
  // /apis/group/version/[namespaces/ns/]plural[/name]; the core group has no group in its path.
  const rest = parts.slice(parts[0] === 'api' ? 2 : 3);
  const inCollection = rest[0] === 'namespaces' && rest.length > 2 ? rest.slice(2) : rest;
  return inCollection.length === 1 ? 'list' : 'get';
};
