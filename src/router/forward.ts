import type { Agent, ServerResponse } from 'node:http';
import type { Clock } from '../base/clock.ts';
import { timedOut, unavailable } from './api-error.ts';
import type { ApiError } from './api-error.ts';
import type { Load } from './load.ts';
import { endWithErrorEvent, isEventStream, readWhole, relayEvents } from './relay.ts';
import type { WholeAnswer } from './relay.ts';
import type { Route } from './route-table.ts';
import { openUpstream, UpstreamLost } from './upstream.ts';
import { startWatchdog } from './watchdog.ts';

/** Longest silences, each before a request is given up. */
export interface Deadlines {
  /** Until an endpoint accepts the connection. */
  connectMs: number;
  /** Until a stream's first byte: the prompt has to be read first. */
  firstByteMs: number;
  /** Until an answer that is not streamed begins, which it does when it is complete. */
  responseMs: number;
  /** Between two bytes, and for a client that does not read. */
  idleMs: number;
  /** For a group that is neither ready nor draining any more. */
  unlistedMs: number;
}

export interface Forwarding {
  clock: Clock;
  load: Load;
  agent: Agent;
  deadlines: Deadlines;
  maxAnswerBytes: number;
  /** The deployment's route as it is now. */
  latest: (route: Route) => Route | undefined;
  /** Aborted when the router closes. */
  closing: AbortSignal;
}

export interface Exchange {
  route: Route;
  /** "chat/completions" or "completions". */
  operation: string;
  body: Buffer;
  stream: boolean;
  accept: string;
  client: ServerResponse;
}

/** `done`: nothing is left to send, because it was streamed, or because the client has gone. */
export type ForwardResult =
  | { kind: 'done'; outcome: 'Streamed' | 'BrokenStream' | 'ClientGone' }
  | { kind: 'answer'; answer: WholeAnswer }
  | { kind: 'error'; error: ApiError };

/**
 * Sends one request to the least loaded group and its answer to the client. A group that cannot be reached,
 * dies or declines (503, 429) before the first byte of its answer is replaced by another one, once. The client's
 * going ends the request upstream at once, and every silence has a deadline.
 */
export const forward = async (
  forwarding: Forwarding,
  exchange: Exchange,
): Promise<ForwardResult> => {
  const { route } = exchange;
  const tried: string[] = [];
  let last: ForwardResult | undefined;
  while (tried.length < 2) {
    const endpoints = (forwarding.latest(route) ?? route).endpoints;
    const endpoint = forwarding.load.leastLoaded(endpoints, tried);
    if (!endpoint) break;
    tried.push(endpoint);
    const attempt = await tryEndpoint(forwarding, exchange, endpoint);
    if (!attempt.worthAnother) return attempt.result;
    last = attempt.result;
  }
  if (last) return last;
  const message = route.unavailableMessage ?? 'no group of this deployment is ready';
  return { kind: 'error', error: unavailable(message, route.retryAfterSeconds) };
};

interface Attempt {
  result: ForwardResult;
  /** Nothing was sent to the client, and another group may do better. */
  worthAnother: boolean;
}

const tryEndpoint = async (
  forwarding: Forwarding,
  exchange: Exchange,
  endpoint: string,
): Promise<Attempt> => {
  const leave = forwarding.load.enter(endpoint);
  try {
    const attempt = await tryConnection(forwarding, exchange, endpoint, forwarding.agent);
    return attempt === 'StaleConnection'
      ? ((await tryConnection(forwarding, exchange, endpoint, false)) as Attempt)
      : attempt;
  } finally {
    leave();
  }
};

type StopReason = 'ClientGone' | 'Closing' | 'TimedOut' | 'Unlisted' | 'Unreachable';

const tryConnection = async (
  forwarding: Forwarding,
  exchange: Exchange,
  endpoint: string,
  agent: Agent | false,
): Promise<Attempt | 'StaleConnection'> => {
  const { client, operation } = exchange;
  const stopper = createStopper(forwarding, exchange, endpoint);
  try {
    const answer = await openUpstream({
      url: `${endpoint}/${operation}`,
      body: exchange.body,
      accept: exchange.accept,
      agent,
      signal: stopper.signal,
      onConnected: () => stopper.enter('Waiting'),
    });
    const onBytes = () => stopper.enter('Receiving');
    if (isEventStream(answer)) {
      await relayEvents(answer, client, { signal: stopper.signal, onBytes });
      return { result: { kind: 'done', outcome: 'Streamed' }, worthAnother: false };
    }
    const maxBytes = forwarding.maxAnswerBytes;
    const whole = await readWhole(answer, { maxBytes, onBytes });
    const declined = whole.status === 503 || whole.status === 429;
    return { result: { kind: 'answer', answer: whole }, worthAnother: declined };
  } catch (error) {
    const stopped = stopper.reason();
    const stale = error instanceof UpstreamLost && error.staleConnection && agent !== false;
    if (stale && stopped === undefined) return 'StaleConnection';
    return lost(exchange, stopped);
  } finally {
    stopper.release();
  }
};

/** What a failed attempt means for the client, whose stream may have begun. */
const lost = ({ client, route }: Exchange, stopped: StopReason | undefined): Attempt => {
  if (stopped === 'ClientGone') {
    return { result: { kind: 'done', outcome: 'ClientGone' }, worthAnother: false };
  }
  const error =
    stopped === 'TimedOut'
      ? timedOut('the model did not answer in time')
      : unavailable(lostMessages[stopped ?? 'Died'], route.retryAfterSeconds);
  if (!client.headersSent) {
    const worthAnother = stopped !== 'Closing' && stopped !== 'TimedOut';
    return { result: { kind: 'error', error }, worthAnother };
  }
  endWithErrorEvent(client, error);
  return { result: { kind: 'done', outcome: 'BrokenStream' }, worthAnother: false };
};

const lostMessages = {
  Closing: 'the router is shutting down',
  Unlisted: 'the group that served this request is no longer ready',
  Unreachable: 'the group that should serve this request cannot be reached',
  Died: 'the group that served this request failed',
};

/** Ends an attempt when the client goes, the router closes or a silence grows too long; says which. */
const createStopper = (
  { clock, deadlines, latest, closing }: Forwarding,
  { client, route, stream }: Exchange,
  endpoint: string,
) => {
  const controller = new AbortController();
  let phase: 'Connecting' | 'Waiting' | 'Receiving' = 'Connecting';
  const stop = (reason: StopReason) => controller.abort(reason);
  const isListed = () => {
    const { endpoints = [], draining = [] } = latest(route) ?? {};
    return endpoints.includes(endpoint) || draining.includes(endpoint);
  };
  const limitMs = () => {
    const waitMs = stream ? deadlines.firstByteMs : deadlines.responseMs;
    const ownMs = { Connecting: deadlines.connectMs, Waiting: waitMs, Receiving: deadlines.idleMs };
    return isListed() ? ownMs[phase] : Math.min(ownMs[phase], deadlines.unlistedMs);
  };
  const onExpired = () => {
    if (phase === 'Connecting') stop('Unreachable');
    else stop(isListed() ? 'TimedOut' : 'Unlisted');
  };
  const watchdog = startWatchdog(clock, limitMs, onExpired);
  const onClientClose = () => stop('ClientGone');
  const onClosing = () => stop('Closing');
  client.once('close', onClientClose);
  closing.addEventListener('abort', onClosing, { once: true });
  if (client.destroyed) onClientClose();
  if (closing.aborted) onClosing();
  return {
    signal: controller.signal,
    reason: () => controller.signal.reason as StopReason | undefined,
    enter: (next: typeof phase) => {
      phase = next;
      watchdog.touch();
    },
    release: () => {
      watchdog.stop();
      client.off('close', onClientClose);
      closing.removeEventListener('abort', onClosing);
    },
  };
};
