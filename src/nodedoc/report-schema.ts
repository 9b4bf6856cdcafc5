import type { HostFacts, LinkFacts, NodeReport, RankError, RankReport } from './types.ts';
import {
  count,
  dnsName,
  errorCode,
  listOf,
  nonEmptyText,
  objectOf,
  oneOf,
  rankId,
  text,
} from './schema-parts.ts';

const rate = { type: 'number', minimum: 0 };

const host = objectOf<HostFacts>({
  hostID: nonEmptyText(128),
  model: text(128),
  chip: text(256),
  osVersion: text(128),
  osBuild: text(128),
  cpuCount: count(1),
  memoryBytes: count(1),
  address: nonEmptyText(255),
});

const link = objectOf<LinkFacts>(
  {
    localPort: text(64),
    peerNodeName: text(253),
    type: text(64),
    rdmaDevice: text(64),
    mode: oneOf('RDMA', 'TCP', 'None'),
    bandwidthGbps: text(32),
    latencyMicroseconds: text(32),
    state: oneOf('Up', 'Down'),
    reason: text(128),
    message: text(4096),
  },
  ['rdmaDevice', 'bandwidthGbps', 'latencyMicroseconds', 'reason', 'message'],
);

const error = objectOf<RankError>(
  {
    code: nonEmptyText(128),
    message: text(4096),
    terminal: { type: 'boolean' },
    guiltyRank: count(-1),
    link: text(64),
    file: text(4096),
    exitCode: { type: 'integer' },
    signal: text(32),
  },
  ['guiltyRank', 'link', 'file', 'exitCode', 'signal'],
);

const peerLink = objectOf<{ peerRank: number; kind: string }>({
  peerRank: count(),
  kind: text(32),
});

const rank = objectOf<RankReport>(
  {
    id: rankId,
    rank: count(),
    state: oneOf(
      'Pending',
      'Staging',
      'Rendezvous',
      'Loading',
      'Canary',
      'Ready',
      'Stopping',
      'Stopped',
      'Failed',
    ),
    pid: count(1),
    rendezvousAddress: nonEmptyText(300),
    endpointUrl: nonEmptyText(2048),
    shardBytes: count(),
    residentBytes: count(),
    allReduces: count(),
    links: listOf(peerLink, 4096),
    decodeTokensPerSecond: rate,
    logPath: text(4096),
    error,
  },
  [
    'pid',
    'rendezvousAddress',
    'endpointUrl',
    'shardBytes',
    'residentBytes',
    'allReduces',
    'links',
    'decodeTokensPerSecond',
    'logPath',
    'error',
  ],
);

/** JSON schema of what a daemon sends up. */
export const nodeReportSchema = objectOf<NodeReport>(
  {
    nodeName: dnsName,
    instanceID: nonEmptyText(128),
    bootId: nonEmptyText(128),
    daemonVersion: text(64),
    observedEpoch: count(),
    observedVersion: text(64),
    host,
    engines: listOf(
      objectOf<{ name: string; version: string }>({ name: nonEmptyText(63), version: text(63) }),
      64,
    ),
    links: listOf(link, 256),
    cachedModels: listOf(
      objectOf<NodeReport['cachedModels'][number]>({
        uri: nonEmptyText(4096),
        sizeBytes: count(),
        state: oneOf('Ready', 'Missing', 'Invalid'),
      }),
      1024,
    ),
    ranks: listOf(rank, 512),
    problems: listOf(
      objectOf<{ code: string; message: string }>({ code: errorCode, message: text(4096) }),
      16,
    ),
  },
  ['instanceID', 'problems'],
);
