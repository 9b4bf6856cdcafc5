import type {
  ClusterNode,
  ClusterNodeStatus,
  ModelDeployment,
  ModelDeploymentRevision,
  ModelDeploymentStatus,
} from '../resources/types.ts';
import type { NodeDocument, NodeReport } from '../nodedoc/types.ts';
import type { ModelProfile } from '../planner/types.ts';

/** Names an object; ClusterNodes have no namespace. */
export interface ObjectKey {
  kind: 'ModelDeployment' | 'ClusterNode';
  namespace?: string;
  name: string;
}

/** A document of the user's that is not valid and therefore not served; the last good spec, if any, stays. */
export interface SpecProblem {
  /** The object it would be, when kind and name could be read. */
  key?: ObjectKey;
  file: string;
  line: number;
  message: string;
}

/**
 * Where desired state lives. The directory store and the Kubernetes store pass one conformance suite.
 * Reads are from a local view that is complete once `start` has resolved. Objects are frozen: never change one in place.
 */
export interface Store {
  /** Reads everything, then watches. `onChange` is told of keys only; it reads the object itself. */
  start(onChange: (key: ObjectKey) => void): Promise<void>;
  stop(): Promise<void>;

  /** A list that was given is never changed: what is derived from it may be kept with it. */
  deployments(): readonly ModelDeployment[];
  deployment(namespace: string, name: string): ModelDeployment | undefined;
  nodes(): readonly ClusterNode[];
  node(name: string): ClusterNode | undefined;
  problems(): SpecProblem[];

  /** Durable when it resolves. No write when nothing changed. Rejects with EpochFenced when a newer control plane has taken over. */
  updateDeploymentStatus(
    namespace: string,
    name: string,
    status: ModelDeploymentStatus,
  ): Promise<void>;
  updateNodeStatus(name: string, status: ClusterNodeStatus): Promise<void>;
  addFinalizer(key: ObjectKey, finalizer: string): Promise<void>;
  /** The last finalizer of an object with a deletionTimestamp: the object and what it owns are gone. */
  removeFinalizer(key: ObjectKey, finalizer: string): Promise<void>;

  revisions(namespace: string, deployment: string): ModelDeploymentRevision[];
  createRevision(revision: ModelDeploymentRevision): Promise<void>;
  /** Renumbers an equal, older revision to be the newest (as ReplicaSets and ControllerRevisions do). */
  renumberRevision(namespace: string, name: string, revision: number): Promise<void>;
  deleteRevision(namespace: string, name: string): Promise<void>;

  /** Aggregated by (object, reason, message): the count goes up, the first time stays. Never throws. */
  recordEvent(event: EventInput): void;
  events(): StoredEvent[];

  /**
   * Start count of the control plane over this state, taken once at start; never goes back. Throws EpochFenced when
   * another may have taken over: then no node may hear of this one any more.
   */
  epoch(): number;
  /** Key from which group secrets are derived; created once, mode 0600, never leaves the control plane. */
  groupSecretKey(): Buffer;
}

export interface EventInput {
  regarding: ObjectKey | { kind: 'File'; name: string };
  type: 'Normal' | 'Warning';
  reason: string;
  message: string;
}

export interface StoredEvent extends EventInput {
  count: number;
  firstTimestamp: string;
  lastTimestamp: string;
}

/** The nodes as the controller sees them: full documents out, full reports in, ages by the hub's own clock. */
export interface NodeLink {
  /** Idempotent; hands the document to the node's pending long poll if it differs from what was handed out. */
  publish(document: NodeDocument): void;
  /** No document for this node any more (the ClusterNode was deleted). */
  retract(nodeName: string): void;
  /** Until this is called no document is served, so that a control plane that starts never stops running ranks. */
  open(): void;
  latest(nodeName: string): ReceivedReport | undefined;
  all(): ReceivedReport[];
  /** Called after each report that changed anything, and when a node's first report arrives. */
  onReport(listener: (nodeName: string) => void): void;
}

export interface ReceivedReport {
  report: NodeReport;
  /** Since it arrived, by the hub's monotonic clock. */
  ageMs: number;
}

/** Reads what planning must know of a model. Throws EspalierError: terminal when the folder is wrong. */
export type ReadModelProfile = (uri: string) => Promise<ModelProfile>;
