/**
 * The one document that both sides of the hub share. Down: everything a node should run, in full, every
 * time. Up: everything a node sees, in full, every time. Level-triggered: losing any message but the last
 * one changes nothing.
 */

/** Full desired state of one node. */
export interface NodeDocument {
  /** Name of the ClusterNode. */
  nodeName: string;
  /** Start count of the control plane. A daemon refuses a document with a lower epoch than it has seen. */
  epoch: number;
  /** SHA-256 over everything but `epoch` and `version`: equal content, equal version. */
  version: string;
  ranks: RankAssignment[];
}

/** One rank of one group, with all that its node needs to run it. Immutable: any change is a new `id`. */
export interface RankAssignment {
  /** `<namespace>/<deployment>/<group>/<incarnation>/<rank>`: a later start of the same rank has another id. */
  id: string;
  namespace: string;
  deployment: string;
  groupIndex: number;
  /** Counts the starts of this group; also the transport's epoch. */
  incarnation: number;
  rank: number;
  worldSize: number;
  /** Name of the revision, for instance "sprout-6c9f". */
  revision: string;
  engine: { name: string; version: string; args: string[] };
  model: { uri: string; servedNames: string[] };
  shard: ShardAssignment;
  contextLength: number;
  maxConcurrentRequests: number;
  threads: number;
  /** What the planner counted for this rank: weights, KV cache and workspace. */
  memoryBytes: number;
  interconnectMode: 'None' | 'TCP' | 'RDMA';
  rendezvous: Rendezvous;
  deadlines: PhaseDeadlines;
}

export interface ShardAssignment {
  tensorRank: number;
  tensorSize: number;
  stage: number;
  stageCount: number;
  /** First layer of this stage. */
  firstLayer: number;
  /** One past its last layer. */
  endLayer: number;
}

/** Where the group meets. Rank 0 picks the port and reports it; `address` is null until the controller knows it. */
export interface Rendezvous {
  /** "host:port" of rank 0; always null in rank 0's own assignment. */
  address: string | null;
  /** Per group incarnation, never logged, never reported. */
  secret: string;
}

/** Longest time in each phase before the rank counts as failed. */
export interface PhaseDeadlines {
  stageMs: number;
  loadMs: number;
  rendezvousMs: number;
  canaryMs: number;
  /** Between SIGTERM and SIGKILL. */
  stopGraceMs: number;
}

/** Full observed state of one node. */
export interface NodeReport {
  nodeName: string;
  /** Random, kept in the daemon's data directory: tells a restarted daemon from a second one of the same name. */
  instanceID?: string;
  /** Changes when the daemon's host boots. */
  bootId: string;
  daemonVersion: string;
  /** Of the document that this report answers; epoch 0 and version "" before the first. */
  observedEpoch: number;
  observedVersion: string;
  host: HostFacts;
  engines: { name: string; version: string }[];
  links: LinkFacts[];
  cachedModels: { uri: string; sizeBytes: number; state: 'Ready' | 'Missing' | 'Invalid' }[];
  ranks: RankReport[];
  /** What keeps the daemon itself from doing its work, for instance DataNotWritable. Absent: nothing. */
  problems?: { code: string; message: string }[];
}

export interface HostFacts {
  /** Hardware UUID or machine id: equal on two nodes when they share one host. */
  hostID: string;
  /** "Mac16,11", or "linux-x64". */
  model: string;
  chip: string;
  osVersion: string;
  osBuild: string;
  cpuCount: number;
  memoryBytes: number;
  /** Address that peers dial. */
  address: string;
}

export interface LinkFacts {
  localPort: string;
  peerNodeName: string;
  type: string;
  rdmaDevice?: string;
  mode: 'RDMA' | 'TCP' | 'None';
  bandwidthGbps?: string;
  latencyMicroseconds?: string;
  state: 'Up' | 'Down';
  reason?: string;
  message?: string;
}

/**
 * Pending: accepted, waiting (for the rendezvous address, or a stop of an older rank). Staging: weights are checked.
 * Rendezvous: the group forms. Loading: weights are mapped. Canary: a token runs through all ranks (rank 0 only).
 * Ready: this rank serves; for rank 0, the canary passed through all ranks. Stopping, Stopped, Failed: as they say;
 * Failed and Stopped ranks have no process.
 */
export type RankState =
  | 'Pending'
  | 'Staging'
  | 'Rendezvous'
  | 'Loading'
  | 'Canary'
  | 'Ready'
  | 'Stopping'
  | 'Stopped'
  | 'Failed';

export interface RankReport {
  /** RankAssignment.id. Ranks that still run without being in the document are reported until they are gone. */
  id: string;
  rank: number;
  state: RankState;
  pid?: number;
  /** Rank 0: where the others meet it, "host:port". */
  rendezvousAddress?: string;
  /** Rank 0, once Ready: base URL of the OpenAI-compatible endpoint, "http://127.0.0.1:41234/v1". */
  endpointUrl?: string;
  shardBytes?: number;
  residentBytes?: number;
  /** Collectives completed by the transport since start. */
  allReduces?: number;
  links?: { peerRank: number; kind: string }[];
  decodeTokensPerSecond?: number;
  logPath?: string;
  /** Why it failed: code from the catalogue, message, and who is to blame. Terminal failures are not worth a restart. */
  error?: RankError;
}

export interface RankError {
  code: string;
  message: string;
  terminal: boolean;
  guiltyRank?: number;
  link?: string;
  file?: string;
  exitCode?: number;
  signal?: string;
}
