import { delay } from '../../base/clock.ts';
import type { Clock } from '../../base/clock.ts';
import { errorMessage } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { NodeLink, Store } from '../../controller/ports.ts';
import type { ApiClient } from './client.ts';
import { micro } from './event-recorder.ts';
import { kinds } from './kinds.ts';

const beatMs = 10_000;
/** Of the whole fleet: a thousand Leases renewed every 10 s would be most of what an API server does. */
const renewalsPerBeat = 2;
/** As kubelets: renewed every 10 s, expired after 40. */
const beatsPerDuration = 4;
const silentAfterMs = beatsPerDuration * beatMs;
const callDeadlineMs = 5000;

/** A node that has reported, and how long ago that was. */
export interface Heartbeat {
  nodeName: string;
  ageMs: number;
}

export interface LeaseRenewal extends Heartbeat {
  /** From the last report on. */
  durationSeconds: number;
}

/** What the Leases say, by node. `atMs`: when it was written, by our own clock. */
export type ShownLeases = ReadonlyMap<string, { isHeld: boolean; atMs: number }>;

/**
 * The Leases to write in one beat. Every node that fell silent, at once, as expired; of the others two: first those
 * that are not held yet, then those longest ago. In a fleet of more than two each turn comes later, and each Lease
 * says that it lasts four turns. `fleetSize` counts ClusterNodes, also those that have not reported yet.
 */
export const dueRenewals = (
  heartbeats: readonly Heartbeat[],
  shown: ShownLeases,
  fleetSize: number,
): LeaseRenewal[] => {
  const heard = heartbeats.filter(({ ageMs }) => ageMs < silentAfterMs);
  const beatsPerTurn = Math.max(1, Math.ceil(fleetSize / renewalsPerBeat));
  const durationSeconds = (beatsPerDuration * beatsPerTurn * beatMs) / 1000;
  const silent = heartbeats.filter(
    ({ nodeName, ageMs }) => ageMs >= silentAfterMs && shown.get(nodeName)?.isHeld,
  );
  const turn = ({ nodeName }: Heartbeat): number => {
    const lease = shown.get(nodeName);
    return lease?.isHeld ? lease.atMs : -Infinity;
  };
  const next = heard.toSorted((left, right) => (turn(left) < turn(right) ? -1 : 1));
  return [
    ...silent.map((node) => ({ ...node, durationSeconds: silentAfterMs / 1000 })),
    ...next.slice(0, renewalsPerBeat).map((node) => ({ ...node, durationSeconds })),
  ];
};

export interface NodeLeaseOptions {
  client: ApiClient;
  store: Pick<Store, 'node' | 'nodes'>;
  nodeLink: Pick<NodeLink, 'all'>;
  namespace: string;
  clock: Clock;
  logger: Logger;
  /** Of the term. */
  signal: AbortSignal;
}

/**
 * Mirrors each node's heartbeat to a Lease, as kubelets do, for tools that look there; nothing of ours reads them.
 * They go with their ClusterNode. Resolves when the signal aborts.
 */
export const renewNodeLeases = async (options: NodeLeaseOptions): Promise<void> => {
  const { store, nodeLink, clock, logger, signal } = options;
  const shown = new Map<string, { isHeld: boolean; atMs: number }>();

  const renew = async (renewal: LeaseRenewal): Promise<void> => {
    const { nodeName, ageMs } = renewal;
    await write(options, renewal);
    shown.set(nodeName, { isHeld: ageMs < silentAfterMs, atMs: clock.monotonicMs() });
  };

  const beat = async (): Promise<void> => {
    const heartbeats = nodeLink
      .all()
      .map(({ report: { nodeName }, ageMs }) => ({ nodeName, ageMs }))
      .filter(({ nodeName }) => store.node(nodeName));
    const due = dueRenewals(heartbeats, shown, store.nodes().length);
    const outcomes = await Promise.allSettled(due.map(renew));
    const failed = outcomes.find(({ status }) => status === 'rejected');
    if (!failed || signal.aborted) return;
    const error = errorMessage((failed as PromiseRejectedResult).reason);
    logger.warn({ error }, 'node leases not renewed');
  };

  while (!signal.aborted) {
    await delay(clock, beatMs, signal);
    if (!signal.aborted) await beat();
  }
};

const write = async (
  { client, store, namespace, clock, signal }: NodeLeaseOptions,
  { nodeName, ageMs, durationSeconds }: LeaseRenewal,
): Promise<void> => {
  const node = store.node(nodeName);
  if (!node) return;
  const { apiVersion, kind, metadata } = node;
  const { uid } = metadata;
  const heardAt = new Date(clock.now().getTime() - ageMs).toISOString();
  const lease = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      namespace,
      name: `espalier-node-${nodeName}`,
      ownerReferences: [{ apiVersion, kind, name: nodeName, uid }],
    },
    spec: {
      holderIdentity: nodeName,
      leaseDurationSeconds: durationSeconds,
      renewTime: micro(heardAt),
    },
  };
  await client.apply(kinds.leases, lease, { signal, deadlineMs: callDeadlineMs });
};
