import { isIPv6 } from 'node:net';
import { delay } from '../../base/clock.ts';
import type { Clock } from '../../base/clock.ts';
import { errorMessage } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { backoffMs } from '../../base/random.ts';
import type { Random } from '../../base/random.ts';
import type { ApiClient } from './client.ts';
import { kinds } from './kinds.ts';

const name = 'espalier-router';
const portName = 'http';
/** Somebody may delete them; an apply that changes nothing writes nothing. */
const periodMs = 300_000;
const retryMs = { baseMs: 1000, maxMs: 60_000 };
const callDeadlineMs = 5000;

/** Where clients in the cluster reach the router, whichever replica leads. */
export const routerServiceUrl = (namespace: string): string => `http://${name}.${namespace}.svc`;

/**
 * Keeps the Service espalier-router, without selector, and the EndpointSlice that leads it to the router of the
 * replica that leads, wherever that runs. A replica that loses the Lease leaves both to the next one.
 */
export const advertiseRouter = async (options: {
  client: ApiClient;
  namespace: string;
  /** An IP address that the cluster's nodes can reach, and the port there. */
  address: { host: string; port: number };
  clock: Clock;
  random: Random;
  logger: Logger;
  /** Of the term; resolves when it aborts. */
  signal: AbortSignal;
}): Promise<void> => {
  const { client, namespace, address, clock, random, logger, signal } = options;
  let attempt = 0;
  while (!signal.aborted) {
    let waitMs = periodMs;
    try {
      const call = { signal, deadlineMs: callDeadlineMs };
      await client.apply(kinds.services, serviceObject(namespace), call);
      await client.apply(kinds.endpointSlices, endpointSliceObject(namespace, address), call);
      attempt = 0;
    } catch (error) {
      if (signal.aborted) return;
      logger.warn({ error: errorMessage(error) }, 'router not advertised');
      waitMs = backoffMs(attempt, retryMs, random);
      attempt += 1;
    }
    await delay(clock, waitMs, signal);
  }
};

const serviceObject = (namespace: string) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace, name },
  spec: { ports: [{ name: portName, port: 80, protocol: 'TCP' }] },
});

const endpointSliceObject = (
  namespace: string,
  { host, port }: { host: string; port: number },
) => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: {
    namespace,
    // The type of address can never change; each has an object of its own.
    name: `${name}-${isIPv6(host) ? 'ipv6' : 'ipv4'}`,
    labels: {
      'kubernetes.io/service-name': name,
      'endpointslice.kubernetes.io/managed-by': 'espalier-operator',
    },
  },
  addressType: isIPv6(host) ? 'IPv6' : 'IPv4',
  endpoints: [{ addresses: [host], conditions: { ready: true } }],
  ports: [{ name: portName, port, protocol: 'TCP' }],
});
