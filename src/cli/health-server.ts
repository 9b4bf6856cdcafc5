import type { AddressInfo } from 'node:net';
import { fastify } from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { delay } from '../base/clock.ts';
import type { Clock } from '../base/clock.ts';
import { EspalierError, errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { metricsContentType } from '../base/metrics.ts';
import type { Metrics } from '../base/metrics.ts';

/** One thing that has to hold. `problem` says in few words, without secrets, why it does not; undefined: it does. */
export interface HealthCheck {
  name: string;
  problem: () => string | undefined | Promise<string | undefined>;
}

export interface HealthServerOptions {
  metrics: Metrics;
  clock: Clock;
  logger: Logger;
  /** Beside `ping`, which holds while the event loop turns. A process that fails one of them is worth a restart. */
  liveness?: readonly HealthCheck[];
  /** All of `liveness`, and these. */
  readiness?: readonly HealthCheck[];
}

export interface HealthServer {
  /** Base URL. Rejects with AddressInUse. */
  listen(address: { host: string; port: number }): Promise<string>;
  close(): Promise<void>;
}

/** Longer than any check takes in a healthy process, shorter than the kubelet's own patience with a probe. */
const checkDeadlineMs = 500;
const requestDeadlineMs = 5_000;

/**
 * GET /metrics for Prometheus; /healthz and /readyz as Kubernetes' own components have them: "ok", or 500 and a
 * line per check; ?verbose lists them in any case, ?exclude=name leaves one out, /readyz/name asks one alone.
 */
export const createHealthServer = (options: HealthServerOptions): HealthServer => {
  const { liveness = [], readiness = [], metrics, logger } = options;
  const app = fastify({
    logger: false,
    bodyLimit: 1024,
    requestTimeout: requestDeadlineMs,
    connectionTimeout: 2 * requestDeadlineMs,
    forceCloseConnections: true,
  });
  const ping: HealthCheck = { name: 'ping', problem: () => undefined };
  const live = [ping, ...liveness];
  addChecks(app, 'healthz', live, options.clock);
  addChecks(app, 'readyz', [...live, ...readiness], options.clock);
  app.get('/metrics', async (_request, reply) =>
    reply.type(metricsContentType).send(await metrics.text()),
  );
  app.setErrorHandler((error, request, reply) => {
    logger.error({ path: request.routeOptions.url, error: errorMessage(error) }, 'request failed');
    return reply.code(500).type('text/plain').send('internal error, see the log\n');
  });
  return {
    listen: async ({ host, port }) => {
      await app.listen({ host, port }).catch((cause: unknown) => {
        throw listenError(cause, host, port);
      });
      const bound = app.server.address() as AddressInfo;
      return `http://${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`;
    },
    close: async () => app.close(),
  };
};

const addChecks = (
  app: FastifyInstance,
  path: string,
  checks: readonly HealthCheck[],
  clock: Clock,
): void => {
  app.get(`/${path}`, async (request: FastifyRequest<{ Querystring: Query }>, reply) => {
    const { verbose, exclude = [] } = request.query;
    const excluded = new Set([exclude].flat());
    const included = checks.filter(({ name }) => !excluded.has(name));
    return answer(reply, path, await runAll(included, clock), verbose !== undefined);
  });
  for (const check of checks) {
    app.get(`/${path}/${check.name}`, async (_request, reply) =>
      answer(reply, path, await runAll([check], clock), false),
    );
  }
};

interface Query {
  verbose?: string;
  exclude?: string | string[];
}

interface Finding {
  name: string;
  problem: string | undefined;
}

const runAll = async (checks: readonly HealthCheck[], clock: Clock): Promise<Finding[]> =>
  Promise.all(
    checks.map(async (check) => ({ name: check.name, problem: await run(check, clock) })),
  );

const run = async ({ problem }: HealthCheck, clock: Clock): Promise<string | undefined> => {
  const answered = new AbortController();
  const overdue = delay(clock, checkDeadlineMs, answered.signal).then(
    () => `no answer within ${checkDeadlineMs} ms`,
  );
  try {
    return await Promise.race([problem(), overdue]);
  } catch (error) {
    return errorMessage(error);
  } finally {
    answered.abort();
  }
};

const answer = (
  reply: FastifyReply,
  path: string,
  findings: readonly Finding[],
  isVerbose: boolean,
): FastifyReply => {
  const isGood = findings.every(({ problem }) => problem === undefined);
  const lines = findings.map(({ name, problem }) =>
    problem === undefined ? `[+]${name} ok` : `[-]${name} failed: ${problem}`,
  );
  const verdict = `${path} check ${isGood ? 'passed' : 'failed'}`;
  const text = isGood && !isVerbose ? 'ok' : `${[...lines, verdict].join('\n')}\n`;
  return reply
    .code(isGood ? 200 : 500)
    .header('cache-control', 'no-store')
    .type('text/plain; charset=utf-8')
    .send(text);
};

const listenError = (cause: unknown, host: string, port: number): unknown =>
  cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE'
    ? new EspalierError(
        'AddressInUse',
        `${host}:${port} is taken by another process; choose another --metrics-port`,
        { host, port },
        { cause },
      )
    : cause;
