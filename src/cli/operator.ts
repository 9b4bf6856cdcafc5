import { randomInt } from 'node:crypto';
import { resolve } from 'node:path';
import { systemClock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { createProcessMetrics } from '../base/metrics.ts';
import { seededRandom } from '../base/random.ts';
import { loadCatalogue } from '../catalogue/load-catalogue.ts';
import { createModelProfileReader } from '../catalogue/model-folder.ts';
import { createController } from '../controller/controller.ts';
import { routesFrom } from '../controller/routes.ts';
import { createHub } from '../hub/hub.ts';
import { plan } from '../planner/plan.ts';
import { deploymentPath } from '../router/route-table.ts';
import { createRouter } from '../router/router.ts';
import { createDirectoryStore } from '../store/directory/store.ts';
import { writeControlPlaneAddress } from './control-plane-file.ts';
import { createHealthServer } from './health-server.ts';

export interface OperatorOptions {
  directory: string;
  stateDirectory: string;
  hub: { host: string; port: number };
  router: { host: string; port: number };
  /** Extend the catalogue of machines, chips, links and engines. */
  catalogueFiles: readonly string[];
  logger: Logger;
  /** Where /metrics, /healthz and /readyz are served; nowhere when it is not given. */
  health?: { host: string; port: number };
  /** Another control plane has taken over: the process must end. May be called more than once. */
  onFenced: (reason: string) => void;
}

export interface Operator {
  hubUrl: string;
  routerUrl: string;
  /** Base URL of /metrics, /healthz and /readyz. */
  healthUrl: string | undefined;
  /** Ends requests and polls within bounds; ranks run on. */
  stop(): Promise<void>;
}

/**
 * The control plane of directory mode: store, controller, hub and router in one process. The hub serves no
 * document before the controller has read everything, so that a start never stops a running rank. When
 * something does not start, what did is stopped again.
 */
export const startOperator = async (options: OperatorOptions): Promise<Operator> => {
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const each of stops.toReversed()) await each();
  };
  try {
    return { ...(await start(options, stops)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
};

const start = async (
  options: OperatorOptions,
  stops: (() => Promise<void>)[],
): Promise<Omit<Operator, 'stop'>> => {
  const { directory, stateDirectory, logger, health } = options;
  const clock = systemClock;
  const random = seededRandom(randomInt(2 ** 32));
  const metrics = createProcessMetrics();
  let isLooking = false;
  const healthServer = createHealthServer({
    metrics,
    clock,
    logger: logger.child({ room: 'health' }),
    readiness: [
      {
        name: 'controller',
        problem: () => (isLooking ? undefined : 'has not looked at everything yet'),
      },
    ],
  });
  const healthUrl = health && (await healthServer.listen(health));
  stops.push(async () => healthServer.close());
  const store = await createDirectoryStore({ directory, stateDirectory, clock, random, logger });
  stops.push(async () => store.stop());
  const hub = createHub({
    logger: logger.child({ room: 'hub' }),
    clock,
    metrics,
    ...options.hub,
    epoch: store.epoch(),
    onStale: (node, epoch) =>
      options.onFenced(`node ${node} follows a control plane of epoch ${epoch}`),
  });
  const hubUrl = await hub.listen();
  stops.push(async () => hub.close());
  const router = createRouter({
    routes: { routes: () => routesFrom(store.deployments()), isComplete: () => isLooking },
    logger: logger.child({ room: 'router' }),
    clock,
    metrics,
  });
  const { host, port } = await router.listen(options.router);
  stops.push(async () => router.close());
  const routerUrl = `http://${host}:${port}`;
  const catalogue = loadCatalogue(options.catalogueFiles);
  const controller = createController({
    store,
    nodeLink: hub,
    readModelProfile: createModelProfileReader({}),
    plan: (request) => plan({ ...request, catalogue }),
    clock,
    random,
    logger: logger.child({ room: 'controller' }),
    metrics,
    endpointUrl: (namespace, name) => `${routerUrl}${deploymentPath(namespace, name)}`,
    onFenced: (error) => options.onFenced(error.message),
  });
  await controller.start();
  isLooking = true;
  stops.push(async () => controller.stop());
  await writeControlPlaneAddress(stateDirectory, {
    pid: process.pid,
    hubUrl,
    routerUrl,
    directory: resolve(directory),
  });
  return { hubUrl, routerUrl, healthUrl };
};
