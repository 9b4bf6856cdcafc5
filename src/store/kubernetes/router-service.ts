import { isIPv6 } from 'node:net';
import { delay } from '../../base/clock.ts';
import type { Clock } from '../../base/clock.ts';
import { errorMessage } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { backoffMs } from '../../base/random.ts';
import type { Random } from '../../base/random.ts';
import type { ApiClient } from './client.ts';
import { kinds } from './kinds.ts';
import type { ApiObject } from './objects.ts';

const name = 'espalier-router';
const portName = 'http';
/** Somebody may delete them; an apply that changes nothing writes nothing. */
const periodMs = 300_000;
const retryMs = { baseMs: 1000, maxMs: 60_000 };
const callDeadlineMs = 5000;

/** Where clients in the cluster reach the router, whichever replica leads. */
export const routerServiceUrl = (namespace: string): string => `http://${name}.${namespace}.svc`;

export interface RouterAdvertisement {
  /**
   * Before the router stops listening: the Service leads nowhere, and clients are refused at once, instead of to an
   * address that may soon be somebody else's. Writes only within the term, and never over what another replica wrote.
   * Never rejects, never takes longer than 10 s.
   */
  withdraw(): Promise<void>;
}

/**
 * Keeps the Service espalier-router, without selector, and the EndpointSlice that leads it to the router of the
 * replica that leads, wherever that runs. The next one to lead overwrites it first of all: what a replica that was
 * killed left behind stands until then.
 */
export const advertiseRouter = (options: {
  client: ApiClient;
  namespace: string;
  /** An IP address that the cluster's nodes can reach, and the port there. */
  address: { host: string; port: number };
  clock: Clock;
  random: Random;
  logger: Logger;
  /** Of the term: nothing is written after it. */
  signal: AbortSignal;
}): RouterAdvertisement => {
  const { client, namespace, address, clock, random, logger, signal } = options;
  const withdrawn = new AbortController();
  const over = AbortSignal.any([signal, withdrawn.signal]);
  let written: ApiObject | undefined;

  const advertise = async (): Promise<void> => {
    const call = { signal, deadlineMs: callDeadlineMs };
    await client.apply(kinds.services, serviceObject(namespace), call);
    if (over.aborted) return;
    written = await client.apply(kinds.endpointSlices, sliceObject(namespace, address), call);
  };
  const keep = async (): Promise<void> => {
    let attempt = 0;
    while (!over.aborted) {
      let waitMs = periodMs;
      try {
        await advertise();
        attempt = 0;
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ error: errorMessage(error) }, 'router not advertised');
        waitMs = backoffMs(attempt, retryMs, random);
        attempt += 1;
      }
      await delay(clock, waitMs, over);
    }
  };
  const keeping = keep();

  return {
    withdraw: async () => {
      withdrawn.abort();
      await keeping;
      if (!written || signal.aborted) return;
      const slice = sliceObject(namespace, address);
      const { resourceVersion } = written.metadata;
      const empty = { ...slice, metadata: { ...slice.metadata, resourceVersion }, endpoints: [] };
      const call = { signal, deadlineMs: callDeadlineMs };
      await client.apply(kinds.endpointSlices, empty, call).catch((error: unknown) => {
        logger.warn({ error: errorMessage(error) }, 'router not withdrawn');
      });
    },
  };
};

const serviceObject = (namespace: string) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace, name },
  spec: { ports: [{ name: portName, port: 80, protocol: 'TCP' }] },
});

const sliceObject = (namespace: string, { host, port }: { host: string; port: number }) => ({
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
