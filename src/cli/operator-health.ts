import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Metrics } from '../base/metrics.ts';
import type { KubernetesStore } from '../store/kubernetes/store.ts';
import { createHealthServer } from './health-server.ts';
import type { HealthCheck, HealthServer } from './health-server.ts';

/** How far a replica has come; its owner moves it on. */
export interface Progress {
  /** Holds the Lease. A standby does not, and is ready when it can take over. */
  isLeading: boolean;
  /** Why a standby could not take the Lease over; undefined when it can. */
  leaseProblem?: string | undefined;
  /** Of the leader. */
  store?: Pick<KubernetesStore, 'following'>;
  /** The leader has looked at everything once. */
  isLooking: boolean;
}

/** Longer than a quiet watch lasts: a view this old follows nobody. */
const staleAfterMs = 700_000;

/** /metrics, /healthz and /readyz of a replica, from before it leads until it ends. */
export const operatorHealth = (options: {
  metrics: Metrics;
  clock: Clock;
  logger: Logger;
  progress: Progress;
}): HealthServer => {
  const { metrics, progress } = options;
  metrics.gauge(
    {
      name: 'leader_election_master_status',
      help: 'Whether this replica leads.',
      labels: ['name'],
    },
    () => [{ labels: { name: 'espalier-operator' }, value: progress.isLeading ? 1 : 0 }],
  );
  return createHealthServer({ ...options, readiness: readinessOf(progress) });
};

const readinessOf = (progress: Progress): HealthCheck[] => [
  {
    name: 'lease',
    problem: () => (progress.isLeading ? undefined : progress.leaseProblem),
  },
  {
    name: 'controller',
    problem: () =>
      progress.isLeading && !progress.isLooking ? 'has not looked at everything yet' : undefined,
  },
  {
    name: 'watches',
    problem: () => {
      if (!progress.isLeading) return undefined;
      const stale = Object.entries(progress.store?.following() ?? {}).filter(
        ([, { isSynced, lastContactMs = Infinity }]) => !isSynced || lastContactMs > staleAfterMs,
      );
      if (stale.length === 0) return undefined;
      const { lastError } = stale[0]![1];
      const heard = `nothing heard from the API server of ${stale.map(([kind]) => kind).join(', ')}`;
      return lastError === undefined ? heard : `${heard}: ${lastError}`;
    },
  },
];
