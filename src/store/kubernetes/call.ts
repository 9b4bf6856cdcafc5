import { delay } from '../../base/clock.ts';
import type { Clock } from '../../base/clock.ts';
import { EspalierError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import { apiError } from './api-error.ts';
import { startDeadline } from './deadline.ts';
import { retryDelayMs } from './retry.ts';
import type { Repetition } from './retry.ts';
import type { ApiRequest, ApiResponse, Transport } from './transport.ts';

export interface CallContext {
  transport: Transport;
  clock: Clock;
  random: Random;
  /** Resolves when the client may send one more request. */
  take: (signal: AbortSignal) => Promise<void>;
}

export type Call = Omit<ApiRequest, 'signal'> & {
  signal?: AbortSignal | undefined;
  deadlineMs: number;
  /** An attempt that takes longer is broken off and, if it may be, repeated. */
  attemptMs: number;
  repetition: Repetition;
  /** False: one attempt, whatever comes. */
  isRetried?: boolean | undefined;
};

/** More than any answer has; a page of a list has 500 objects of at most 1.5 MB each, and in practice of some KB. */
const maxBodyBytes = 256 * 1024 * 1024;

/** One request with its retries; resolves to the JSON of the answer. */
export const callApi = async (context: CallContext, call: Call): Promise<unknown> => {
  const { clock, random } = context;
  const where = placeOf(call);
  const overall = startDeadline(clock, call.deadlineMs, tooLate(where, call), call.signal);
  try {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await attemptCall(context, call, overall.signal);
      } catch (error) {
        if (overall.signal.aborted) throw overall.signal.reason;
        if (isDeletedAlready(error, call, attempt)) return {};
        const waitMs = retryDelayMs(error, attempt, call.repetition, random);
        if (waitMs === undefined || call.isRetried === false) throw error;
        await delay(clock, waitMs, overall.signal);
        // The deadline came in the pause: what the server said last tells more than that.
        if (overall.signal.aborted) throw call.signal?.aborted ? call.signal.reason : error;
      }
    }
  } finally {
    overall.dispose();
  }
};

/** The answer to the first attempt was lost, the object is gone: what was asked for has happened. */
const isDeletedAlready = (error: unknown, { method }: Call, attempt: number): boolean =>
  method === 'DELETE' &&
  attempt > 0 &&
  error instanceof EspalierError &&
  error.code === 'ObjectNotFound';

const attemptCall = async (
  { transport, clock, take }: CallContext,
  call: Call,
  overall: AbortSignal,
): Promise<unknown> => {
  await take(overall);
  overall.throwIfAborted();
  const where = placeOf(call);
  const own = startDeadline(clock, call.attemptMs, tooLate(where, call), overall);
  try {
    const { method, path, contentType, body } = call;
    const response = await transport({
      method,
      path,
      signal: own.signal,
      ...(contentType === undefined ? {} : { contentType }),
      ...(body === undefined ? {} : { body }),
    });
    const text = await readText(response);
    if (response.status >= 300) throw apiError(response.status, response.headers, text, where);
    return parse(text, where);
  } catch (error) {
    // Leaves no half-read body behind, which would hold a connection.
    own.abort(error);
    throw error;
  } finally {
    own.dispose();
  }
};

export const placeOf = ({ method, path }: Pick<ApiRequest, 'method' | 'path'>): string =>
  `${method} ${path.split('?')[0]}`;

const tooLate =
  (where: string, { attemptMs }: Call) =>
  () =>
    new EspalierError('ApiUnreachable', `the API server did not answer ${where} in time`, {
      where,
      status: 0,
      isSent: true,
      attemptMs,
    });

export const readText = async ({ body }: ApiResponse): Promise<string> => {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    bytes += chunk.byteLength;
    if (bytes > maxBodyBytes) {
      const message = `expected an answer of at most ${maxBodyBytes} bytes, got more`;
      throw new EspalierError('ApiFailed', message, { status: 501, bytes });
    }
  }
  return Buffer.concat(chunks).toString('utf8');
};

const parse = (text: string, where: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    // Not the parser's own words: they quote the text, and it may be a Secret.
    const message = `expected JSON from ${where}, got ${text.length} characters of something else`;
    throw new EspalierError('ApiFailed', message, { where, status: 0 });
  }
};
