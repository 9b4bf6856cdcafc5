import { randomInt } from 'node:crypto';
import { systemClock } from '../base/clock.ts';
import { createProcessMetrics } from '../base/metrics.ts';
import type { Metrics } from '../base/metrics.ts';
import { seededRandom } from '../base/random.ts';
import { loadSchemas } from '../resources/schemas.ts';
import { createApiClient } from '../store/kubernetes/client.ts';
import { readGroupKey } from '../store/kubernetes/group-key.ts';
import { becomeLeader } from '../store/kubernetes/leader.ts';
import type { Leadership } from '../store/kubernetes/leader.ts';
import { renewNodeLeases } from '../store/kubernetes/node-leases.ts';
import { countRequests } from '../store/kubernetes/request-metrics.ts';
import { advertiseRouter, routerServiceUrl } from '../store/kubernetes/router-service.ts';
import { createKubernetesStore } from '../store/kubernetes/store.ts';
import { underTerm } from '../store/kubernetes/term.ts';
import { createApiConnection } from '../store/kubernetes/transport.ts';
import type { ApiConnection } from '../store/kubernetes/transport.ts';
import { startControlPlane } from './control-plane.ts';
import type { ControlPlaneOptions, Stops } from './control-plane.ts';
import { operatorHealth } from './operator-health.ts';
import type { Progress } from './operator-health.ts';

export interface KubernetesOperatorOptions extends Pick<
  ControlPlaneOptions,
  'hub' | 'router' | 'catalogueFiles' | 'logger' | 'onFenced'
> {
  kubeconfig?: string | undefined;
  context?: string | undefined;
  /** Of the Lease and the Secret. */
  namespace: string;
  /** Names this process in the Lease and in Events. */
  identity: string;
  /** Where the cluster reaches the router of this replica; the Service espalier-router leads there. */
  advertise?: { host: string; port: number } | undefined;
  /** Where /metrics, /healthz and /readyz are served, by a standby too. */
  health: { host: string; port: number };
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

const newClient = ({ transport }: ApiConnection) =>
  createApiClient({ transport, clock, random: seededRandom(randomInt(2 ** 32)) });

const lead = async (
  { namespace, identity, logger }: KubernetesOperatorOptions,
  connection: ApiConnection,
  signal: AbortSignal,
): Promise<Leadership> => {
  const random = seededRandom(randomInt(2 ** 32));
  const client = newClient(connection);
  return becomeLeader({ client, namespace, identity, clock, random, logger }, signal);
};

const startLeading = async (
  options: KubernetesOperatorOptions & { metrics: Metrics; progress: Progress },
  connection: ApiConnection,
  leadership: Leadership,
  stops: Stops,
): Promise<Addresses> => {
  const { logger, namespace, identity, progress } = options;
  const random = seededRandom(randomInt(2 ** 32));
  const ours = { ...connection, transport: underTerm(connection.transport, leadership) };
  const client = newClient(ours);
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
  const { hubUrl, routerUrl, nodeLink } = await startControlPlane(
    {
      ...options,
      store,
      random,
      endpointBase: options.advertise && routerServiceUrl(namespace),
    },
    stops,
  );
  progress.isLooking = true;
  const { signal } = leadership;
  const beside = { namespace, clock, random, logger, signal };
  if (options.advertise) void advertiseRouter({ ...beside, client, address: options.advertise });
  void renewNodeLeases({ ...beside, client, store, nodeLink });
  return { hubUrl, routerUrl };
};
