import { delay } from '../../src/base/clock.ts';
import type { Clock } from '../../src/base/clock.ts';
import { EspalierError } from '../../src/base/errors.ts';
import type { Random } from '../../src/base/random.ts';
import type { ApiRequest, ApiResponse, Transport } from '../../src/store/kubernetes/transport.ts';
import type { FakeApiServer } from '../support/fake-api-server.ts';
import { LineStream } from '../support/line-stream.ts';

/** The way from one control plane to the API server. */
export interface Network {
  transport: Transport;
  /** Of requests that go wrong, 0 to 1. */
  rate: number;
  /** Nothing gets through: the server is down, or this process dead. */
  isDown: boolean;
  /** No watch is answered; everything else is. */
  hasNoWatches: boolean;
  /** Called with every write before the server has it: somebody may be faster. */
  onWrite: (request: ApiRequest) => void;
  /** Ends the watches that are open. */
  cutWatches(): void;
}

const maxWatchLagMs = 200;
/** Longer than a Lease lives, so that another replica may lead by then. */
const maxLateMs = 30_000;

const unreachable = (isSent: boolean): EspalierError =>
  new EspalierError('ApiUnreachable', 'the network says no', { status: 0, isSent });

export const faultyNetwork = (server: FakeApiServer, clock: Clock, random: Random): Network => {
  const watches = new Set<LineStream>();
  const follow = (response: ApiResponse, { signal }: ApiRequest): ApiResponse => {
    const { body } = response;
    if (!(body instanceof LineStream)) return response;
    watches.add(body);
    body.onEnd(() => watches.delete(body));
    return { ...response, body: delayed(body, clock, random, signal) };
  };
  const network: Network = {
    rate: 0,
    isDown: false,
    hasNoWatches: false,
    onWrite: () => undefined,
    cutWatches: () => {
      for (const watch of watches) watch.cut(unreachable(true));
    },
    transport: async (request) => {
      await delay(clock, 1 + random() * 20, request.signal);
      request.signal.throwIfAborted();
      if (network.isDown) throw unreachable(false);
      const isWatch = request.path.includes('watch=1');
      if (isWatch && network.hasNoWatches) throw unreachable(false);
      if (request.method !== 'GET') network.onWrite(request);
      if (random() >= network.rate) return follow(server.handle(request), request);
      return isWatch
        ? follow(disturbedWatch(server, clock, random, request), request)
        : disturbed(server, clock, random, request);
    },
  };
  return network;
};

/** Events are on their way for a while: the answer to a write may be there before them. */
async function* delayed(
  body: AsyncIterable<Uint8Array>,
  clock: Clock,
  random: Random,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  for await (const chunk of body) {
    await delay(clock, random() * maxWatchLagMs, signal);
    yield chunk;
  }
}

/** Sent, and not answered. The server acts on it long after its sender has given up: what it wrote may be old. */
const late = async (
  server: FakeApiServer,
  clock: Clock,
  random: Random,
  request: ApiRequest,
): Promise<ApiResponse> => {
  const { signal } = new AbortController();
  clock.after(random() * maxLateMs, () => void server.handle({ ...request, signal }));
  const answer = Promise.withResolvers<ApiResponse>();
  request.signal.addEventListener('abort', () => answer.reject(request.signal.reason));
  return answer.promise;
};

const disturbed = (
  server: FakeApiServer,
  clock: Clock,
  random: Random,
  request: ApiRequest,
): ApiResponse | Promise<ApiResponse> => {
  const choices: (() => ApiResponse | Promise<ApiResponse>)[] = [
    () => late(server, clock, random, request),
    () => fail(unreachable(true)),
    () => {
      server.handle(request);
      return fail(unreachable(true));
    },
    () => refusal(429, 'TooManyRequests', { 'retry-after': '1' }),
    () => refusal(500, 'InternalError'),
    () => refusal(503, 'ServiceUnavailable'),
    () => (request.method === 'PATCH' ? refusal(409, 'Conflict') : refusal(410, 'Expired')),
  ];
  return choices[Math.floor(random() * choices.length)]!();
};

const fail = (error: Error): never => {
  throw error;
};

const refusal = (status: number, reason: string, headers = {}): ApiResponse => ({
  status,
  headers,
  body: once(JSON.stringify({ kind: 'Status', code: status, reason, details: { name: 'x' } })),
});

async function* once(text: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(text);
}

/** Refused, silent from some moment on, or cut at some moment. */
const disturbedWatch = (
  server: FakeApiServer,
  clock: Clock,
  random: Random,
  request: ApiRequest,
): ApiResponse => {
  const choice = random();
  if (choice < 0.2) return refusal(410, 'Expired');
  if (choice < 0.4) return refusal(429, 'TooManyRequests', { 'retry-after': '1' });
  if (choice < 0.5) throw unreachable(true);
  const response = server.handle(request);
  if (!(response.body instanceof LineStream)) return response;
  const stream = response.body;
  stream.onEnd(
    clock.after(random() * 20_000, () => {
      if (choice < 0.7) stream.isSilent = true;
      else stream.cut(unreachable(true));
    }),
  );
  return response;
};
