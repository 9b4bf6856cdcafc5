import type {
  NodeDocument,
  PhaseDeadlines,
  RankAssignment,
  Rendezvous,
  ShardAssignment,
} from './types.ts';
import {
  count,
  dnsLabel,
  dnsName,
  durationMs,
  listOf,
  nonEmptyText,
  objectOf,
  oneOf,
  rankId,
  text,
} from './schema-parts.ts';

const shard = objectOf<ShardAssignment>({
  tensorRank: count(),
  tensorSize: count(1),
  stage: count(),
  stageCount: count(1),
  firstLayer: count(),
  endLayer: count(),
});

const rendezvous = objectOf<Rendezvous>({
  address: { type: ['string', 'null'], maxLength: 300 },
  secret: text(),
});

const deadlines = objectOf<PhaseDeadlines>({
  stageMs: durationMs,
  loadMs: durationMs,
  rendezvousMs: durationMs,
  canaryMs: durationMs,
  stopGraceMs: durationMs,
});

const assignment = objectOf<RankAssignment>({
  id: rankId,
  namespace: dnsLabel,
  deployment: dnsName,
  groupIndex: count(),
  incarnation: count(),
  rank: count(),
  worldSize: count(1),
  revision: text(253),
  engine: objectOf<RankAssignment['engine']>({
    name: nonEmptyText(63),
    version: text(63),
    args: listOf(text(4096), 256),
  }),
  model: objectOf<RankAssignment['model']>({
    uri: nonEmptyText(4096),
    servedNames: listOf(nonEmptyText(253), 64),
  }),
  shard,
  contextLength: count(1),
  maxConcurrentRequests: count(1),
  threads: count(1, 4096),
  memoryBytes: count(),
  interconnectMode: oneOf('None', 'TCP', 'RDMA'),
  rendezvous,
  deadlines,
});

/** JSON schema of what the hub hands down. */
export const nodeDocumentSchema = objectOf<NodeDocument>({
  nodeName: dnsName,
  epoch: count(),
  version: nonEmptyText(64),
  ranks: listOf(assignment, 256),
});
