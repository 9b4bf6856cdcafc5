import { delay } from '../../src/base/clock.ts';
import type { Clock } from '../../src/base/clock.ts';
import { EspalierError } from '../../src/base/errors.ts';
import type { Random } from '../../src/base/random.ts';
import type { ApiRequest, ApiResponse, Transport } from '../../src/store/kubernetes/transport.ts';
import type { FakeApiServer } from '../support/fake-api-server.ts';
import { LineStream } from '../support/line-stream.ts';
import { faultyStream } from './faulty-stream.ts';
import type { ReplicaClock } from './replica-clock.ts';

/** The way from one control plane to the API server. */
export interface Network {
  transport: Transport;
  /** Of requests and of chunks of watches that go wrong, 0 to 1. */
  rate: number;
  /** Nothing gets through. */
  isDown: boolean;
  /** No watch is answered; everything else is. */
  hasNoWatches: boolean;
  /** Ends the watches that are open. */
  cutWatches(): void;
}

export interface NetworkOptions {
  server: FakeApiServer;
  /** Of the world: what is on its way does not wait for who sent it. */
  clock: Clock;
  /** Of the process that sends and hears. */
  ownClock: ReplicaClock;
  random: Random;
  /** False: the server is down, for everybody. */
  isServerUp: () => boolean;
  /** The process sends it now. */
  onSend: (request: ApiRequest) => void;
  /** The server has it next: somebody may be faster, or this process dead before. False: it gets lost. */
  onArrival: (request: ApiRequest) => boolean;
  /** What became of it at the server; who sent it does not know yet. */
  onOutcome: (request: ApiRequest, outcome: string) => void;
}

const maxTransitMs = 20;
/** Longer than a Lease lives, so that another replica may lead by then. */
const maxLateMs = 30_000;

const unreachable = (isSent: boolean): EspalierError =>
  new EspalierError('ApiUnreachable', 'the network says no', { status: 0, isSent });

export const faultyNetwork = (options: NetworkOptions): Network => {
  const { clock, ownClock, random, isServerUp, onSend, onOutcome } = options;
  const watches = new Set<LineStream>();

  const followed = (response: ApiResponse, { signal }: ApiRequest): ApiResponse => {
    const { body } = response;
    if (!(body instanceof LineStream)) return response;
    watches.add(body);
    body.onEnd(() => watches.delete(body));
    const faults = { clock, ownClock, random, signal, rate: () => network.rate };
    return { ...response, body: faultyStream(body, faults) };
  };

  const reach = async (request: ApiRequest): Promise<ApiResponse> => {
    const isWatch = request.path.includes('watch=1');
    if (!options.onArrival(request)) throw unreachable(false);
    if (random() >= network.rate) return options.server.handle(request);
    return isWatch ? disturbedWatch(options, request) : disturbed(options, request);
  };

  const network: Network = {
    rate: 0,
    isDown: false,
    hasNoWatches: false,
    cutWatches: () => {
      for (const watch of watches) watch.cut(unreachable(true));
    },
    transport: async (request) => {
      onSend(request);
      await delay(clock, 1 + random() * maxTransitMs);
      const isCut = () => network.isDown || !isServerUp();
      if (isCut() || (network.hasNoWatches && request.path.includes('watch=1'))) {
        await ownClock.awake();
        throw unreachable(false);
      }
      const answer = await reach(request).catch((error: unknown) => ({ error }));
      onOutcome(request, 'error' in answer ? 'no answer' : `${answer.status}`);
      // Who is cut off in between does not learn what the server did.
      await delay(clock, random() * maxTransitMs);
      await ownClock.awake();
      if ('error' in answer) throw answer.error;
      if (request.signal.aborted || isCut()) {
        if (answer.body instanceof LineStream) answer.body.end();
        request.signal.throwIfAborted();
        throw unreachable(true);
      }
      return followed(answer, request);
    },
  };
  return network;
};

/** Sent, and not answered. The server acts on it long after its sender has given up: what it wrote may be old. */
const late = async ({ server, clock, random, onOutcome }: NetworkOptions, request: ApiRequest) => {
  const { signal } = new AbortController();
  clock.after(random() * maxLateMs, () => {
    onOutcome(request, `late ${server.handle({ ...request, signal }).status}`);
  });
  const answer = Promise.withResolvers<ApiResponse>();
  request.signal.addEventListener('abort', () => answer.reject(request.signal.reason));
  return answer.promise;
};

const disturbed = (
  options: NetworkOptions,
  request: ApiRequest,
): ApiResponse | Promise<ApiResponse> => {
  const { server, random } = options;
  const choices: (() => ApiResponse | Promise<ApiResponse>)[] = [
    () => late(options, request),
    () => fail(unreachable(true)),
    () => {
      server.handle(request);
      return fail(unreachable(true));
    },
    () => overloaded(random),
    () => refusal(500, 'InternalError'),
    () => refusal(503, 'ServiceUnavailable'),
    () => (request.method === 'PATCH' ? refusal(409, 'Conflict') : refusal(410, 'Expired')),
  ];
  return choices[Math.floor(random() * choices.length)]!();
};

const fail = (error: Error): never => {
  throw error;
};

const overloaded = (random: Random): ApiResponse =>
  refusal(429, 'TooManyRequests', { 'retry-after': `${Math.ceil(random() * 5)}` });

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
  { server, clock, random }: NetworkOptions,
  request: ApiRequest,
): ApiResponse => {
  const choice = random();
  if (choice < 0.2) return refusal(410, 'Expired');
  if (choice < 0.4) return overloaded(random);
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
