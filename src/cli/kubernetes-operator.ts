import { randomInt } from 'node:crypto';
import { systemClock } from '../base/clock.ts';
import { errorMessage } from '../base/errors.ts';
import { createProcessMetrics } from '../base/metrics.ts';
import type { Metrics } from '../base/metrics.ts';
import { seededRandom } from '../base/random.ts';
import type { Catalogue } from '../catalogue/facts.ts';
import { loadCatalogue } from '../catalogue/load-catalogue.ts';
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
import type { ControlPlane, ControlPlaneOptions, Stops } from './control-plane.ts';
import { operatorHealth } from './operator-health.ts';
import type { Progress } from './operator-health.ts';

export interface KubernetesOperatorOptions extends Pick<
  ControlPlaneOptions,
  'hub' | 'router' | 'logger' | 'onFenced'
> {
  /** Extend the catalogue of machines, chips, links and engines. */
  catalogueFiles: readonly string[];
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

/**
 * The control plane over a Kubernetes API server. Throws KubeconfigInvalid, or what is wrong with the catalogue: a
 * standby that could not lead must not say so only when it has to.
 */
export const startKubernetesOperator = (options: KubernetesOperatorOptions): KubernetesOperator => {
  const stops: Stops = [];
  const stopped = new AbortController();
  const metrics = createProcessMetrics();
  const catalogue = loadCatalogue(options.catalogueFiles);
  const progress: Progress = {
    isLeading: false,
    isLooking: false,
    leaseProblem: 'has not been looked at yet',
  };
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
    const leadership = await lead(options, connection, progress, stopped.signal);
    stops.push(async () => leadership.release());
    progress.isLeading = true;
    let plane: ControlPlane | undefined;
    const endTerm = async (): Promise<void> => {
      progress.isLeading = false;
      progress.leaseProblem = 'was lost';
      // Requests need no API server. While it is away nobody can take over, so the router stays until it is back.
      await plane?.routeOnly();
      await leadership.succession(stopped.signal);
      options.onFenced((leadership.signal.reason as Error).message);
    };
    leadership.signal.addEventListener('abort', () => {
      void endTerm().catch((error: unknown) => options.onFenced(errorMessage(error)));
    });
    const onFenced = (reason: string): void => {
      if (!leadership.signal.aborted) options.onFenced(reason);
    };
    const leading = { ...options, catalogue, metrics, progress, onFenced };
    plane = await startLeading(leading, connection, leadership, stops);
    return plane;
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
  progress: Progress,
  signal: AbortSignal,
): Promise<Leadership> => {
  const random = seededRandom(randomInt(2 ** 32));
  const client = newClient(connection);
  const onLook = (problem: string | undefined): void => {
    progress.leaseProblem = problem;
  };
  return becomeLeader({ client, namespace, identity, clock, random, logger, onLook }, signal);
};

const startLeading = async (
  options: KubernetesOperatorOptions & {
    catalogue: Catalogue;
    metrics: Metrics;
    progress: Progress;
  },
  connection: ApiConnection,
  leadership: Leadership,
  stops: Stops,
): Promise<ControlPlane> => {
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
  const plane = await startControlPlane(
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
  if (options.advertise) {
    const advertised = advertiseRouter({ ...beside, client, address: options.advertise });
    stops.push(async () => advertised.withdraw());
  }
  void renewNodeLeases({ ...beside, client, store, nodeLink: plane.nodeLink });
  return plane;
};
