import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { NativeEngineOptions } from '../../transport/types.ts';
import type { RankAssignment } from '../../nodedoc/types.ts';

/** All that a rank's process needs, in one file of mode 0600, because it carries the group's secret. */
export interface RankLaunch {
  assignment: RankAssignment;
  /** Absolute path. */
  modelFolder: string;
  /** Address of this host that the other ranks dial. */
  hostAddress: string;
  /** Ranks with equal hostID share memory. */
  hostID: string;
}

export const launchFile = (runDirectory: string): string => join(runDirectory, 'assignment.json');

export const readLaunch = async (runDirectory: string): Promise<RankLaunch> =>
  JSON.parse(await readFile(launchFile(runDirectory), 'utf8')) as RankLaunch;

/** Requests that wait at rank 0 beyond those that are computed; one more is answered with 429. */
const maxWaiting = 32;

export const nativeOptions = (launch: RankLaunch): NativeEngineOptions => {
  const { assignment, modelFolder, hostAddress, hostID } = launch;
  const { rendezvous, deadlines, shard } = assignment;
  const meeting = rendezvous.address === null ? undefined : splitAddress(rendezvous.address);
  return {
    group: {
      rank: assignment.rank,
      size: assignment.worldSize,
      rendezvousHost: meeting?.host ?? hostAddress,
      rendezvousPort: meeting?.port ?? 0,
      dataHost: hostAddress,
      secret: rendezvous.secret,
      epoch: assignment.incarnation,
      hostId: hostID,
      links: ['shm', 'tcp'],
      rendezvousTimeoutMs: deadlines.rendezvousMs,
      // A peer may be busy with its weights for as long as loading may take; a dead one is noticed anyhow.
      operationTimeoutMs: Math.max(deadlines.loadMs, 60_000),
    },
    model: {
      folder: modelFolder,
      contextLength: assignment.contextLength,
      maxSequences: assignment.maxConcurrentRequests,
      threads: assignment.threads,
      shard: {
        tensorRank: shard.tensorRank,
        tensorSize: shard.tensorSize,
        stage: shard.stage,
        stageCount: shard.stageCount,
        firstLayer: shard.firstLayer,
        endLayer: shard.endLayer,
      },
    },
    maxWaiting,
  };
};

/** "host:port", with an IPv6 host in brackets. */
export const joinAddress = (host: string, port: number): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

const splitAddress = (address: string): { host: string; port: number } => {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  return { host, port: Number(address.slice(colon + 1)) };
};
