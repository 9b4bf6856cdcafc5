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
}

const unreachable = (isSent: boolean): EspalierError =>
  new EspalierError('ApiUnreachable', 'the network says no', { status: 0, isSent });

export const faultyNetwork = (server: FakeApiServer, clock: Clock, random: Random): Network => {
  const network: Network = {
    rate: 0,
    isDown: false,
    transport: async (request) => {
      await delay(clock, 1 + random() * 20, request.signal);
      request.signal.throwIfAborted();
      if (network.isDown) throw unreachable(false);
      const isWatch = request.path.includes('watch=1');
      if (random() >= network.rate) return server.handle(request);
      return isWatch
        ? disturbedWatch(server, clock, random, request)
        : disturbed(server, random, request);
    },
  };
  return network;
};

const disturbed = (server: FakeApiServer, random: Random, request: ApiRequest): ApiResponse => {
  const choices: (() => ApiResponse)[] = [
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
