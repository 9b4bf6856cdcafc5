import { systemClock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Random } from '../base/random.ts';
import type { Catalogue } from '../catalogue/facts.ts';
import { createModelProfileReader } from '../catalogue/model-folder.ts';
import { createController } from '../controller/controller.ts';
import type { NodeLink, Store } from '../controller/ports.ts';
import { routesFrom } from '../controller/routes.ts';
import { createHub } from '../hub/hub.ts';
import { plan } from '../planner/plan.ts';
import { deploymentPath } from '../router/route-table.ts';
import { createRouter } from '../router/router.ts';

export interface ControlPlaneOptions {
  /** Not started; the control plane starts and stops it. */
  store: Store;
  hub: { host: string; port: number };
  router: { host: string; port: number };
  /** Base URL in status instead of the router's own. */
  endpointBase?: string | undefined;
  catalogue: Catalogue;
  logger: Logger;
  metrics: Metrics;
  random: Random;
  /** Another control plane has taken over: the process must end. May be called more than once. */
  onFenced: (reason: string) => void;
}

/** How to stop what has been started so far, in order of the starts. */
export type Stops = (() => Promise<void>)[];

export interface ControlPlane {
  hubUrl: string;
  routerUrl: string;
  nodeLink: Pick<NodeLink, 'all'>;
  /** Ends hub and controller; the router goes on with what was seen last. */
  routeOnly(): Promise<void>;
}

/**
 * Controller, hub and router in one process, over any store. The hub serves no document before the controller
 * has read everything, so that a start never stops a running rank.
 */
export const startControlPlane = async (
  options: ControlPlaneOptions,
  stops: Stops,
): Promise<ControlPlane> => {
  const { store, logger, metrics, random, catalogue, onFenced } = options;
  const clock = systemClock;
  const hub = createHub({
    logger: logger.child({ room: 'hub' }),
    clock,
    metrics,
    ...options.hub,
    epoch: store.epoch(),
    onStale: (node, epoch) => onFenced(`node ${node} follows a control plane of epoch ${epoch}`),
  });
  const hubUrl = await hub.listen();
  stops.push(async () => hub.close());
  let isLooking = false;
  const router = createRouter({
    routes: { routes: () => routesFrom(store.deployments()), isComplete: () => isLooking },
    logger: logger.child({ room: 'router' }),
    clock,
    metrics,
  });
  const { host, port } = await router.listen(options.router);
  stops.push(async () => router.close());
  const routerUrl = `http://${host}:${port}`;
  const endpointBase = options.endpointBase ?? routerUrl;
  const controller = createController({
    store,
    nodeLink: hub,
    readModelProfile: createModelProfileReader({}),
    plan: (request) => plan({ ...request, catalogue }),
    requestsUnderWay: (endpoint) => router.requestsUnderWay(endpoint),
    clock,
    random,
    logger: logger.child({ room: 'controller' }),
    metrics,
    endpointUrl: (namespace, name) => `${endpointBase}${deploymentPath(namespace, name)}`,
    onFenced: (error) => onFenced(error.message),
  });
  // Stops the store too, also one that could not be started whole.
  stops.push(async () => controller.stop());
  await controller.start();
  isLooking = true;
  const routeOnly = async (): Promise<void> => {
    await hub.close();
    await controller.stop();
  };
  return { hubUrl, routerUrl, nodeLink: hub, routeOnly };
};
