import { randomInt } from 'node:crypto';
import { systemClock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { createProcessMetrics } from '../base/metrics.ts';
import type { Metrics } from '../base/metrics.ts';
import { seededRandom } from '../base/random.ts';
import { loadCatalogue } from '../catalogue/load-catalogue.ts';
import { createModelProfileReader } from '../catalogue/model-folder.ts';
import { createController } from '../controller/controller.ts';
import { routesFrom } from '../controller/routes.ts';
import { createHub } from '../hub/hub.ts';
import { plan } from '../planner/plan.ts';
import { loadSchemas } from '../resources/schemas.ts';
import { deploymentPath } from '../router/route-table.ts';
import { createRouter } from '../router/router.ts';
import { createApiClient } from '../store/kubernetes/client.ts';
import { readGroupKey } from '../store/kubernetes/group-key.ts';
import { becomeLeader } from '../store/kubernetes/leader.ts';
import type { Leadership } from '../store/kubernetes/leader.ts';
import { renewNodeLeases } from '../store/kubernetes/node-leases.ts';
import { countRequests } from '../store/kubernetes/request-metrics.ts';
import { createKubernetesStore } from '../store/kubernetes/store.ts';
import { createApiConnection } from '../store/kubernetes/transport.ts';
import type { ApiConnection } from '../store/kubernetes/transport.ts';
import { operatorHealth } from './operator-health.ts';
import type { Progress } from './operator-health.ts';

export interface KubernetesOperatorOptions {
  kubeconfig?: string | undefined;
  context?: string | undefined;
  /** Of the Lease and the Secret. */
  namespace: string;
  /** Names this process in the Lease and in Events. */
  identity: string;
  hub: { host: string; port: number };
  router: { host: string; port: number };
  /** Where /metrics, /healthz and /readyz are served, by a standby too. */
  health: { host: string; port: number };
  catalogueFiles: readonly string[];
  logger: Logger;
  /** The term is over: nothing is written any more, and the process must end. May be called more than once. */
  onFenced: (reason: string) => void;
}

export interface KubernetesOperator {
  /** Resolves when this replica leads and has looked at everything; until then it listens to nobody. */
  leading: Promise<Addresses>;
  /** At any time. Ends requests and polls within bounds, and gives the Lease up; ranks run on. */
  stop(): Promise<void>;
}

interface Addresses {
  hubUrl: string;
  routerUrl: string;
}

type Stops = (() => Promise<void>)[];

/** The control plane over a Kubernetes API server. Throws KubeconfigInvalid. */
export const startKubernetesOperator = (options: KubernetesOperatorOptions): KubernetesOperator => {
  const stops: Stops = [];
  const stopped = new AbortController();
  const metrics = createProcessMetrics();
  const progress: Progress = { isLeading: false, isLooking: false };
  const connection = connect(options, metrics);
  stops.push(connection.close);
  const health = operatorHealth({
    metrics,
    clock,
    logger: options.logger.child({ room: 'health' }),
    progress,
  });
  const start = async (): Promise<Addresses> => {
    await health.listen(options.health);
    stops.push(async () => health.close());
    const leadership = await lead(options, connection, stopped.signal);
    stops.push(async () => leadership.release());
    progress.isLeading = true;
    leadership.signal.addEventListener('abort', () => {
      progress.isLeading = false;
      options.onFenced((leadership.signal.reason as Error).message);
    });
    return startLeading({ ...options, metrics, progress }, connection, leadership, stops);
  };
  return {
    leading: start(),
    stop: async () => {
      stopped.abort(new Error('the operator was stopped'));
      for (const each of stops.splice(0).toReversed()) await each();
    },
  };
};

const clock = systemClock;

const connect = (options: KubernetesOperatorOptions, metrics: Metrics): ApiConnection => {
  const connection = createApiConnection({ ...options, userAgent: 'espalier-operator' });
  const { transport, server } = connection;
  return { ...connection, transport: countRequests(transport, metrics, server) };
};

const newClient = ({ transport }: ApiConnection, perSecond?: number) => {
  const random = seededRandom(randomInt(2 ** 32));
  const rateLimit = perSecond === undefined ? {} : { rateLimit: { perSecond, burst: perSecond } };
  return createApiClient({ transport, clock, random, ...rateLimit });
};

const lead = async (
  { namespace, identity, logger }: KubernetesOperatorOptions,
  connection: ApiConnection,
  signal: AbortSignal,
): Promise<Leadership> => {
  const random = seededRandom(randomInt(2 ** 32));
  const client = newClient(connection);
  return becomeLeader({ client, namespace, identity, clock, random, logger }, signal);
};

/** As many as a thousand nodes need in ten seconds. */
const nodeLeasesPerSecond = 100;

const startLeading = async (
  options: KubernetesOperatorOptions & { metrics: Metrics; progress: Progress },
  connection: ApiConnection,
  leadership: Leadership,
  stops: Stops,
): Promise<Addresses> => {
  const { logger, namespace, identity, metrics, progress } = options;
  const random = seededRandom(randomInt(2 ** 32));
  const client = newClient(connection);
  const store = createKubernetesStore({
    client,
    term: leadership,
    schemas: loadSchemas(),
    groupSecretKey: await readGroupKey(client, namespace, leadership.signal),
    clock,
    random,
    logger: logger.child({ room: 'store' }),
    instance: identity,
  });
  progress.store = store;
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
    routes: { routes: () => routesFrom(store.deployments()), isComplete: () => progress.isLooking },
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
    endpointUrl: (ns, name) => `${routerUrl}${deploymentPath(ns, name)}`,
    onFenced: (error) => options.onFenced(error.message),
  });
  // Stops the store too, also one that could not be started whole.
  stops.push(async () => controller.stop());
  await controller.start();
  progress.isLooking = true;
  void renewNodeLeases({
    client: newClient(connection, nodeLeasesPerSecond),
    store,
    nodeLink: hub,
    namespace,
    clock,
    logger,
    signal: leadership.signal,
  });
  return { hubUrl, routerUrl };
};
