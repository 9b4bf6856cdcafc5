import fastify from 'fastify';
import type { Clock } from '../base/clock.ts';
import { EspalierError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { createMetrics } from '../base/metrics.ts';
import type { Metrics } from '../base/metrics.ts';
import type { NodeLink } from '../controller/ports.ts';
import { createNodeDocument } from '../nodedoc/version.ts';
import { countHub } from './metrics.ts';
import { createNodeTable } from './node-table.ts';
import { addRoutes, isLoopbackHost } from './routes.ts';

/** A report of 256 ranks is some 200 KB. */
const maxReportBytes = 1 << 20;

interface HubOptions {
  logger: Logger;
  clock: Clock;
  host: string;
  /** 0: any free port. */
  port: number;
  /** Start count of this control plane. */
  epoch: number;
  /** A node has seen a newer control plane: this one must stop. May be called more than once. */
  onStale: (nodeName: string, observedEpoch: number) => void;
  metrics?: Metrics;
}

export interface Hub extends NodeLink {
  /** Base URL for daemons, "http://127.0.0.1:41234". Throws HubNotLoopback or AddressInUse. */
  listen(): Promise<string>;
  /** Ends pending polls at once. */
  close(): Promise<void>;
}

/**
 * Server of the node protocol. Keeps everything in memory: documents come from the controller, reports
 * from the nodes, and both come again in full after a restart.
 */
export const createHub = (options: HubOptions): Hub => {
  const { clock, logger, epoch, metrics = createMetrics() } = options;
  const table = createNodeTable(clock);
  const listeners = new Set<(nodeName: string) => void>();
  const app = fastify({ bodyLimit: maxReportBytes, forceCloseConnections: true });
  let isOpen = false;
  let isClosing = false;

  addRoutes(app, {
    epoch,
    table,
    clock,
    counters: countHub(metrics),
    isOpen: () => isOpen,
    isClosing: () => isClosing,
    onReport: (nodeName) => {
      for (const listener of listeners) listener(nodeName);
    },
    onStale: (node, observedEpoch) => {
      logger.error({ node, epoch, observedEpoch }, 'a newer control plane has taken over');
      options.onStale(node, observedEpoch);
    },
  });

  return {
    publish: (document) => {
      if (table.document(document.nodeName)?.version !== document.version) table.put(document);
    },
    // Deleting a ClusterNode stops its ranks, hence an empty document instead of none: a name that was
    // never declared gets none, and a daemon that gets none keeps what it runs.
    retract: (nodeName) => {
      if (table.document(nodeName)) table.put(createNodeDocument({ nodeName, epoch, ranks: [] }));
    },
    open: () => {
      isOpen = true;
      table.wakeAll();
    },
    latest: table.latest,
    all: table.all,
    onReport: (listener) => {
      listeners.add(listener);
    },
    listen: async () => {
      requireLoopback(options.host);
      try {
        const url = await app.listen({ host: options.host, port: options.port });
        logger.info({ url, epoch }, 'hub listens');
        return url;
      } catch (error) {
        throw listenError(error, options);
      }
    },
    close: async () => {
      isClosing = true;
      table.wakeAll();
      await app.close();
    },
  };
};

const requireLoopback = (host: string): void => {
  if (isLoopbackHost(host)) return;
  throw new EspalierError(
    'HubNotLoopback',
    `the hub cannot listen on "${host}": node identity does not exist yet, so anybody who reaches ` +
      'it could act as a node and read group secrets; use 127.0.0.1, ::1 or localhost',
    { host },
  );
};

const listenError = (error: unknown, { host, port }: HubOptions): unknown => {
  if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') return error;
  return new EspalierError(
    'AddressInUse',
    `${host}:${port} is taken by another process: stop it, or give the hub another port`,
    { host, port },
    { cause: error },
  );
};
