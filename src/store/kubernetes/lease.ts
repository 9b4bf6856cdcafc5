import type { Clock } from '../../base/clock.ts';
import { isCode } from './change-object.ts';
import type { ApiClient } from './client.ts';
import { kinds } from './kinds.ts';
import type { ApiObject } from './objects.ts';

export interface Lease extends ApiObject {
  spec?: {
    holderIdentity?: string;
    leaseDurationSeconds?: number;
    acquireTime?: string;
    renewTime?: string;
    leaseTransitions?: number;
  };
}

/** The Lease as it was seen, and since when it has been so, by our own clock: remote times are never compared. */
export interface Observed {
  lease: Lease | undefined;
  atMs: number;
}

export const epochAnnotation = 'espalier.dev/epoch';
const defaultDurationSeconds = 15;

export const epochOf = (lease: Lease | undefined): number => {
  const epoch = Number(lease?.metadata.annotations?.[epochAnnotation] ?? 0);
  return Number.isSafeInteger(epoch) && epoch > 0 ? epoch : 0;
};

/** Above every epoch before, and not below the Unix time: a Lease that was deleted does not make epochs go back. */
export const nextEpoch = (lease: Lease | undefined, now: Date): number =>
  Math.max(epochOf(lease) + 1, Math.floor(now.getTime() / 1000));

/**
 * Free: nobody holds it, or a process of our identity that is dead by now (a restarted container), or its holder has
 * not renewed it while we watched for its whole duration.
 */
export const isFree = ({ lease, atMs }: Observed, identity: string, nowMs: number): boolean => {
  const { holderIdentity, leaseDurationSeconds = defaultDurationSeconds } = lease?.spec ?? {};
  if (!holderIdentity || holderIdentity === identity) return true;
  return nowMs - atMs >= leaseDurationSeconds * 1000;
};

/** The next observation: the time stays while nothing changes. */
export const observe = (
  before: Observed | undefined,
  lease: Lease | undefined,
  nowMs: number,
): Observed =>
  before && before.lease?.metadata.resourceVersion === lease?.metadata.resourceVersion
    ? before
    : { lease, atMs: nowMs };

export interface LeaseAccess {
  read(signal: AbortSignal): Promise<Lease | undefined>;
  /** Compare-and-swap against `seen`; undefined when somebody was faster. */
  write(
    seen: Lease | undefined,
    next: LeaseContent,
    signal: AbortSignal,
  ): Promise<Lease | undefined>;
}

export interface LeaseContent {
  spec: NonNullable<Lease['spec']>;
  annotations?: Record<string, string>;
}

export const leaseAccess = (options: {
  client: ApiClient;
  clock: Clock;
  namespace: string;
  name: string;
  deadlineMs: number;
}): LeaseAccess => {
  const { client, namespace, name, deadlineMs } = options;
  const identity = { namespace, name };
  return {
    read: async (signal) =>
      client.get<Lease>(kinds.leases, identity, { signal, deadlineMs }).catch((error: unknown) => {
        if (isCode(error, 'ObjectNotFound')) return undefined;
        throw error;
      }),
    write: async (seen, { spec, annotations }, signal) => {
      const metadata = annotations ? { annotations } : {};
      const call = { signal, deadlineMs };
      const written = seen
        ? client.patch<Lease>(
            kinds.leases,
            identity,
            { metadata, spec },
            {
              ...call,
              resourceVersion: seen.metadata.resourceVersion,
            },
          )
        : client.create<Lease>(
            kinds.leases,
            {
              apiVersion: 'coordination.k8s.io/v1',
              kind: 'Lease',
              metadata: { ...identity, ...metadata },
              ...{ spec },
            },
            call,
          );
      return written.catch((error: unknown) => {
        if (isCode(error, 'ObjectChanged') || isCode(error, 'ObjectConflict')) return undefined;
        throw error;
      });
    },
  };
};
