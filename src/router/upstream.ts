import { request } from 'node:http';
import type { Agent, IncomingMessage } from 'node:http';

/** The connection broke before an answer came. */
export class UpstreamLost extends Error {
  /** A kept-alive connection that the other side had closed meanwhile: nothing is known of the endpoint. */
  readonly staleConnection: boolean;

  constructor(cause: unknown, staleConnection: boolean) {
    super('upstream lost', { cause });
    this.name = 'UpstreamLost';
    this.staleConnection = staleConnection;
  }
}

export interface UpstreamRequest {
  url: string;
  body: Buffer;
  accept: string;
  /** False: a connection of its own. */
  agent: Agent | false;
  signal: AbortSignal;
  onConnected: () => void;
}

/** Sends the request and resolves with the head of its answer. Rejects with UpstreamLost, also when aborted. */
export const openUpstream = async ({
  url,
  body,
  accept,
  agent,
  signal,
  onConnected,
}: UpstreamRequest): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': body.length, accept };
    const outgoing = request(url, { method: 'POST', agent, signal, headers }, resolve);
    outgoing.on('socket', (socket) => {
      if (socket.connecting) socket.once('connect', onConnected);
      else onConnected();
    });
    // Errors after the answer began reach its reader; this listener then has nothing left to reject.
    outgoing.on('error', (cause) => reject(new UpstreamLost(cause, outgoing.reusedSocket)));
    outgoing.end(body);
  });
