import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../base/clock.ts';
import { EspalierError } from '../base/errors.ts';
import type { ErrorCode } from '../base/errors.ts';
import { parseNodeReport } from '../nodedoc/validate.ts';
import type { HubCounters } from './metrics.ts';
import type { NodeTable } from './node-table.ts';

/** Longest time that one poll is held open. */
const maxWaitSeconds = 30;

interface HubState {
  readonly epoch: number;
  readonly table: NodeTable;
  readonly clock: Clock;
  readonly counters: HubCounters;
  isOpen: () => boolean;
  isClosing: () => boolean;
  onReport: (nodeName: string) => void;
  onStale: (nodeName: string, observedEpoch: number) => void;
}

type NodeRequest = FastifyRequest<{ Params: { name: string } }>;

/** The node protocol, as docs/node-protocol.md describes it. */
export const addRoutes = (app: FastifyInstance, state: HubState): void => {
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('espalier-epoch', state.epoch);
    if (isLoopbackHost(request.hostname)) return done();
    // A web page that has its own name point at this host must not reach the hub from a browser.
    reply.code(403).send(problem(state, 'HubNotLoopback', 'the Host header is not ours'));
  });
  app.setErrorHandler((error, _request, reply) => sendError(state, error, reply));
  app.get('/v1/nodes', () => ({ nodes: state.table.all() }));
  app.post('/v1/nodes/:name/report', (request: NodeRequest) => receiveReport(state, request));
  app.get('/v1/nodes/:name/document', (request: NodeRequest, reply) =>
    pollDocument(state, request, reply),
  );
};

const receiveReport = (state: HubState, request: NodeRequest): { epoch: number } => {
  const report = parseNodeReport(request.body);
  if (report.nodeName !== request.params.name) {
    throw new EspalierError(
      'InvalidReport',
      `the report of node "${report.nodeName}" came to the address of "${request.params.name}"`,
    );
  }
  if (report.observedEpoch > state.epoch) {
    state.onStale(report.nodeName, report.observedEpoch);
    throw new EspalierError(
      'EpochFenced',
      `this control plane has epoch ${state.epoch}, but node "${report.nodeName}" has seen ` +
        `${report.observedEpoch}: a newer control plane has taken over`,
      { epoch: state.epoch, observedEpoch: report.observedEpoch, node: report.nodeName },
    );
  }
  const isNews = state.table.accept(report);
  state.counters.reportTaken(isNews);
  if (isNews) state.onReport(report.nodeName);
  return { epoch: state.epoch };
};

const pollDocument = async (
  state: HubState,
  request: NodeRequest,
  reply: FastifyReply,
): Promise<FastifyReply> => {
  const nodeName = request.params.name;
  const isEarly = !state.isOpen();
  if (isEarly) await waitUntil(state, request, reply, nodeName, state.isOpen);
  if (!state.isOpen()) return notServing(state, reply, 'the control plane is starting');
  const instanceID = String(request.headers['espalier-instance'] ?? '');
  if (!state.table.isClaimedBy(nodeName, instanceID)) return reportFirst(state, reply, nodeName);
  const knownTag = request.headers['if-none-match'];
  // A new control plane with the old document is news too: the daemon must keep the epoch.
  const isNewEpoch = request.headers['espalier-epoch'] !== String(state.epoch);
  const isAnswerable = () => {
    const document = state.table.document(nodeName);
    return document !== undefined && (isNewEpoch || tag(document.version) !== knownTag);
  };
  // Who has waited for the opening wants to know where it stands, news or not.
  if (!isEarly && !isAnswerable()) await waitUntil(state, request, reply, nodeName, isAnswerable);
  if (state.isClosing()) return notServing(state, reply, 'the control plane is stopping');
  // Another daemon may have taken the name over while this one waited.
  if (!state.table.isClaimedBy(nodeName, instanceID)) return reportFirst(state, reply, nodeName);
  const document = state.table.document(nodeName);
  if (!document) {
    const message =
      `no ClusterNode is named "${nodeName}": apply one ` +
      `(apiVersion espalier.dev/v1alpha1, kind ClusterNode, metadata.name ${nodeName})`;
    return reply.code(404).send(problem(state, 'NodeNotDeclared', message));
  }
  reply.header('etag', tag(document.version));
  if (tag(document.version) === knownTag) return reply.code(304).send();
  state.counters.documentSent();
  return reply.send({ ...document, epoch: state.epoch });
};

/** Holds the poll until `isDone`, its time is over, the daemon hangs up, or the hub closes. */
const waitUntil = async (
  state: HubState,
  request: NodeRequest,
  reply: FastifyReply,
  nodeName: string,
  isDone: () => boolean,
): Promise<void> =>
  new Promise((resolve) => {
    const wake = () => {
      if (isDone() || state.isClosing()) finish();
    };
    const release = state.counters.pollHeld();
    const finish = () => {
      release();
      cancelTimer();
      unwatch();
      reply.raw.off('close', finish);
      resolve();
    };
    const cancelTimer = state.clock.after(waitSeconds(request) * 1000, finish);
    const unwatch = state.table.watch(nodeName, wake);
    reply.raw.on('close', finish);
  });

/** `Prefer: wait=<seconds>` (RFC 7240); without it, or with 0, the answer comes at once. */
const waitSeconds = (request: FastifyRequest): number => {
  const match = /\bwait=(\d{1,6})\b/.exec(String(request.headers['prefer'] ?? ''));
  return Math.min(Number(match?.[1] ?? 0), maxWaitSeconds);
};

const tag = (version: string): string => `"${version}"`;

const reportFirst = (state: HubState, reply: FastifyReply, nodeName: string): FastifyReply => {
  const message = `the hub has no recent report of node "${nodeName}" from this daemon: post one first`;
  return reply.code(428).send(problem(state, 'HubUnreachable', message));
};

const notServing = (state: HubState, reply: FastifyReply, message: string): FastifyReply =>
  reply
    .code(503)
    .header('retry-after', 1)
    .send(problem(state, 'HubUnreachable', message));

const sendError = (state: HubState, error: unknown, reply: FastifyReply): FastifyReply => {
  if (error instanceof EspalierError) {
    const status = statusByCode[error.code] ?? 500;
    return reply.code(status).send(problem(state, error.code, error.message));
  }
  const { statusCode = 500, message } = error as { statusCode?: number; message: string };
  const isBadRequest = statusCode < 500;
  return reply
    .code(statusCode)
    .send(problem(state, isBadRequest ? 'InvalidReport' : 'Internal', message));
};

const statusByCode: Partial<Record<ErrorCode, number>> = {
  InvalidReport: 400,
  DuplicateNode: 409,
  EpochFenced: 409,
};

const problem = (state: HubState, code: ErrorCode, message: string): object => {
  state.counters.refused(code);
  return { epoch: state.epoch, code, message };
};

/** Loopback by name or by number, IPv4 or IPv6. */
export const isLoopbackHost = (host: string): boolean =>
  host === 'localhost' || /^\[?::1\]?$/.test(host) || /^127(\.\d{1,3}){3}$/.test(host);
