import { delay } from '../../base/clock.ts';
import type { Clock } from '../../base/clock.ts';
import { errorMessage } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { NodeLink, Store } from '../../controller/ports.ts';
import type { ApiClient } from './client.ts';
import { micro } from './event-recorder.ts';
import { kinds } from './kinds.ts';

const periodMs = 10_000;
/** As kubelet's. */
const leaseDurationSeconds = 40;
const callDeadlineMs = 5000;

/**
 * Shows each node's heartbeat as a Lease, as kubelets do, for tools that look there; nothing of ours reads them.
 * A node that reports has its Lease renewed every 10 s, one that is silent has not. They go with their ClusterNode.
 */
export const renewNodeLeases = async (options: {
  /** Of its own: a thousand renewals must not delay anything else. */
  client: ApiClient;
  store: Pick<Store, 'node'>;
  nodeLink: Pick<NodeLink, 'all'>;
  namespace: string;
  clock: Clock;
  logger: Logger;
  /** Resolves when it aborts. */
  signal: AbortSignal;
}): Promise<void> => {
  const { client, store, nodeLink, namespace, clock, logger, signal } = options;

  const renew = async (name: string, ageMs: number): Promise<void> => {
    const node = store.node(name);
    if (!node) return;
    const { apiVersion, kind, metadata } = node;
    const heardAt = new Date(clock.now().getTime() - ageMs).toISOString();
    await client.apply(
      kinds.leases,
      {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: {
          namespace,
          name: `espalier-node-${name}`,
          ...{ ownerReferences: [{ apiVersion, kind, name, uid: metadata.uid }] },
        },
        ...{ spec: { holderIdentity: name, leaseDurationSeconds, renewTime: micro(heardAt) } },
      },
      { signal, deadlineMs: callDeadlineMs },
    );
  };

  const renewAll = async (): Promise<void> => {
    const fresh = nodeLink.all().filter(({ ageMs }) => ageMs < periodMs);
    const renewals = fresh.map(async ({ report, ageMs }) => renew(report.nodeName, ageMs));
    const failed = (await Promise.allSettled(renewals)).filter(
      ({ status }) => status === 'rejected',
    );
    if (failed.length === 0 || signal.aborted) return;
    const [first] = failed as PromiseRejectedResult[];
    logger.warn(
      { failed: failed.length, error: errorMessage(first!.reason) },
      'node leases not renewed',
    );
  };

  while (!signal.aborted) {
    await delay(clock, periodMs, signal);
    if (!signal.aborted) await renewAll();
  }
};
