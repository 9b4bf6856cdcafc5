import { Agent } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fastify } from 'fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../base/clock.ts';
import { EspalierError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { createMetrics } from '../base/metrics.ts';
import type { Metrics } from '../base/metrics.ts';
import { errorBody, invalidRequest, unavailable } from './api-error.ts';
import type { ApiError } from './api-error.ts';
import { chooseRoute, readRequestHead, routesUnder } from './choose-route.ts';
import type { DeploymentName } from './choose-route.ts';
import { drain } from './drain.ts';
import { forward } from './forward.ts';
import type { Deadlines, Forwarding, ForwardResult } from './forward.ts';
import { createLoad } from './load.ts';
import { countRequests } from './metrics.ts';
import type { RequestCounters, RequestOutcome } from './metrics.ts';
import { modelNames } from './route-table.ts';
import type { Route, RouteTable } from './route-table.ts';

export interface RouterOptions {
  routes: RouteTable;
  logger: Logger;
  clock: Clock;
  /** Largest request, 16 MiB unless set. */
  maxBodyBytes?: number;
  deadlines?: Partial<Deadlines>;
  /** How long `close` waits for requests under way. */
  drainMs?: number;
  metrics?: Metrics;
}

export interface Router {
  /** Loopback unless a host is given: there is no authentication. Rejects with AddressInUse. */
  listen(address?: { host?: string; port?: number }): Promise<{ host: string; port: number }>;
  /** "http://127.0.0.1:8080" once it listens. */
  address(): string | undefined;
  /** What a group's endpoint works on for this router's clients. */
  requestsUnderWay(endpoint: string): number;
  /** Takes no new requests, waits for those under way, then ends them with an error. */
  close(): Promise<void>;
}

/**
 * A stream may think for two minutes about a long prompt; an answer in one piece takes as long as all of its
 * tokens, and ten minutes is where OpenAI's own clients give up.
 */
const defaultDeadlines: Deadlines = {
  connectMs: 3_000,
  firstByteMs: 120_000,
  responseMs: 600_000,
  idleMs: 60_000,
  unlistedMs: 10_000,
};

const operations = ['chat/completions', 'completions'] as const;
const maxAnswerBytes = 64 * 2 ** 20;

/**
 * The OpenAI-compatible front door. `/v1/…` finds the deployment by `model`; `/<namespace>/<name>/v1/…` is
 * one deployment's own address. Bodies are neither kept nor logged.
 */
export const createRouter = (options: RouterOptions): Router => {
  const { routes, clock, drainMs = 5_000 } = options;
  const closing = new AbortController();
  const agent = new Agent({ keepAlive: true });
  const forwarding: Forwarding = {
    clock,
    load: createLoad(),
    agent,
    deadlines: { ...defaultDeadlines, ...options.deadlines },
    maxAnswerBytes,
    latest: (route) => routes.routes().find((each) => isSame(each, route)),
    closing: closing.signal,
  };
  const server = createServer(options, forwarding);
  return {
    listen: async ({ host = '127.0.0.1', port = 0 } = {}) => {
      await server.listen({ host, port }).catch((cause: unknown) => {
        throw listenError(cause, host, port);
      });
      const bound = server.server.address() as AddressInfo;
      return { host: bound.address, port: bound.port };
    },
    address: () => {
      const bound = server.server.address();
      if (bound === null || typeof bound === 'string') return undefined;
      const host = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address;
      return `http://${host}:${bound.port}`;
    },
    requestsUnderWay: (endpoint) => forwarding.load.count(endpoint),
    close: async () => {
      await drain(server.server, clock, {
        drainMs,
        close: async () => server.close(),
        endRequests: () => closing.abort(),
      });
      agent.destroy();
    },
  };
};

const createServer = (options: RouterOptions, forwarding: Forwarding) => {
  const { metrics = createMetrics(), clock, routes } = options;
  const counters = countRequests(metrics, clock, routes);
  const server = fastify({
    logger: false,
    bodyLimit: options.maxBodyBytes ?? 16 * 2 ** 20,
    requestTimeout: 60_000,
    forceCloseConnections: 'idle',
    // Fastify's own answer is not OpenAI's shape.
    return503OnClosing: false,
    frameworkErrors: (error, _request, reply) => {
      void send(reply, asApiError(error));
    },
  });
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );
  server.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    return send(
      reply,
      invalidRequest(404, 'unknown_url', `unknown URL: ${request.method} ${path}`),
    );
  });
  server.setErrorHandler((error, _request, reply) => {
    const apiError = asApiError(error);
    if (apiError.status >= 500) options.logger.error({ err: error }, 'request handler failed');
    return send(reply, apiError);
  });
  server.get('/healthz', () => ({ status: 'ok' }));
  server.addHook('preHandler', async (request, reply) => {
    if (routes.isComplete?.() !== false || request.routeOptions.url === '/healthz') return;
    counters.refused(503);
    await send(reply, unavailable('the control plane is still starting', 1));
  });
  for (const prefix of ['', '/:namespace/:name']) {
    server.get(`${prefix}/v1/models`, async (request, reply) =>
      listModels(options.routes, request, reply),
    );
    server.get(`${prefix}/v1/models/*`, async (request, reply) =>
      retrieveModel(options.routes, request, reply),
    );
    for (const operation of operations) {
      server.post(`${prefix}/v1/${operation}`, async (request, reply) =>
        complete({ ...options, counters }, forwarding, operation, request, reply),
      );
    }
  }
  return server;
};

const listModels = (routes: RouteTable, request: FastifyRequest, reply: FastifyReply) => {
  const found = routesUnder(routes.routes(), deploymentOf(request));
  if ('error' in found) return send(reply, found.error);
  const data = found.flatMap((route) => modelNames(route).map((id) => describeModel(route, id)));
  return reply.send({ object: 'list', data });
};

const retrieveModel = (routes: RouteTable, request: FastifyRequest, reply: FastifyReply) => {
  const found = routesUnder(routes.routes(), deploymentOf(request));
  if ('error' in found) return send(reply, found.error);
  const { '*': id } = request.params as { '*': string };
  const route = chooseRoute(found, id);
  return 'error' in route ? send(reply, route.error) : reply.send(describeModel(route, id));
};

const describeModel = ({ namespace, name }: Route, id: string) => ({
  id,
  object: 'model',
  created: 0,
  owned_by: `${namespace}/${name}`,
});

const complete = async (
  { routes, clock, logger, counters }: RouterOptions & { counters: RequestCounters },
  forwarding: Forwarding,
  operation: string,
  request: FastifyRequest,
  reply: FastifyReply,
) => {
  const startMs = clock.monotonicMs();
  const body = request.body instanceof Buffer ? request.body : undefined;
  const head = readRequestHead(body);
  const refuse = (error: ApiError) => {
    counters.refused(error.status);
    return send(reply, error);
  };
  if ('error' in head) return refuse(head.error);
  const under = routesUnder(routes.routes(), deploymentOf(request));
  if ('error' in under) return refuse(under.error);
  const route = chooseRoute(under, head.model);
  if ('error' in route) return refuse(route.error);
  const leave = counters.enter(route);
  const result = await forward(forwarding, {
    route,
    operation,
    body: body ?? Buffer.alloc(0),
    stream: head.stream,
    accept: request.headers.accept ?? '*/*',
    client: reply.raw,
  }).catch((error: unknown) => {
    leave('Failed', 500);
    throw error;
  });
  leave(...ending(result, reply));
  const { namespace, name } = route;
  const facts = {
    // Not "name": that is the logger's own.
    deployment: `${namespace}/${name}`,
    operation,
    durationMs: Math.round(clock.monotonicMs() - startMs),
  };
  if (result.kind === 'done') {
    logger.debug({ ...facts, outcome: result.outcome }, 'request relayed');
    return reply.hijack();
  }
  if (result.kind === 'answer') {
    logger.debug({ ...facts, status: result.answer.status }, 'request relayed');
    const { status, headers, body: answerBody } = result.answer;
    return reply.code(status).headers(headers).send(answerBody);
  }
  logger.warn({ ...facts, status: result.error.status, code: result.error.code }, 'request failed');
  return send(reply, result.error);
};

/** A client that went before its answer has 499, as nginx says. */
const ending = (result: ForwardResult, { raw }: FastifyReply): [RequestOutcome, number] => {
  if (result.kind === 'error') return ['Failed', result.error.status];
  if (result.kind === 'answer') return ['Answered', result.answer.status];
  return [result.outcome, raw.headersSent ? raw.statusCode : 499];
};

const deploymentOf = (request: FastifyRequest): DeploymentName | undefined => {
  const { namespace, name } = request.params as Partial<DeploymentName>;
  return namespace !== undefined && name !== undefined ? { namespace, name } : undefined;
};

const send = (reply: FastifyReply, error: ApiError) => {
  if (error.retryAfterSeconds !== undefined) reply.header('retry-after', error.retryAfterSeconds);
  return reply.code(error.status).send(errorBody(error));
};

/** Fastify's own errors carry a status; anything else is a bug of ours. */
const asApiError = (error: unknown): ApiError => {
  const status =
    typeof error === 'object' && error !== null && 'statusCode' in error ? error.statusCode : 500;
  if (status === 413) {
    return invalidRequest(
      413,
      'request_too_large',
      'the request is larger than this router accepts',
    );
  }
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return invalidRequest(status, 'bad_request', 'the request could not be read');
  }
  return { ...unavailable('internal error', 1), status: 500, code: 'internal_error' };
};

const listenError = (cause: unknown, host: string, port: number): unknown =>
  cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE'
    ? new EspalierError(
        'AddressInUse',
        `${host}:${port} is taken by another process; choose another port for the router`,
        { host, port },
        { cause },
      )
    : cause;

const isSame = (a: Route, b: Route): boolean => a.namespace === b.namespace && a.name === b.name;
