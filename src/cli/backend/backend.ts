import type { ReceivedReport, SpecProblem, StoredEvent } from '../../controller/ports.ts';
import type {
  ClusterNode,
  ClusterNodeSpec,
  ModelDeployment,
  ModelDeploymentRevision,
  ModelDeploymentSpec,
} from '../../resources/types.ts';

/** One namespace; undefined is all of them. */
export type Namespace = string | undefined;

/**
 * Where a control plane keeps its objects, as commands see it: a state directory or an API server. Reads give
 * what is there now, defaulted; every request to a server has a deadline.
 */
export interface Backend {
  readonly kind: 'directory' | 'kubernetes';
  /** For messages: "the state directory .espalier/state", "context lab of ~/.kube/config". */
  readonly place: string;
  /** Of commands that were given none. */
  readonly defaultNamespace: string;

  deployments(namespace: Namespace): Promise<ModelDeployment[]>;
  nodes(): Promise<ClusterNode[]>;
  revisions(namespace: Namespace): Promise<ModelDeploymentRevision[]>;
  /** Oldest first. */
  events(namespace: Namespace): Promise<StoredEvent[]>;
  /** Documents that are not valid; an API server lets none in. */
  problems(): Promise<SpecProblem[]>;

  /** The nodes' latest reports, from the hub; undefined where it cannot be asked from here. */
  reports(): Promise<ReceivedReport[] | undefined>;

  /**
   * What a change of a spec would be and what stands in its way; nothing is written before `apply`. Throws
   * CommandFailure (not found) when there is no such object.
   */
  propose(edit: SpecEdit): Promise<Proposal>;
}

/** A change to the spec of one object. `change` is pure: it may be asked again when somebody else wrote meanwhile. */
export type SpecEdit =
  | {
      kind: 'ModelDeployment';
      namespace: string;
      name: string;
      change: (spec: ModelDeploymentSpec) => ModelDeploymentSpec;
    }
  | { kind: 'ClusterNode'; name: string; change: (spec: ClusterNodeSpec) => ClusterNodeSpec };

export interface Proposal {
  /** One per field: "runtime.contextLength: 512 → 1024". Empty: it is so already. */
  changes: string[];
  /** The change to the YAML, as a unified diff: of its file, or of what is to be committed to Git. */
  diff: string;
  /** What must be said with it before it is written; undefined: it may be written as it is. */
  hold?: Hold;
  /** What must be done, or known, once it is written. */
  afterwards?: string;
  /** Writes it. With `dryRun` a server checks it, and nothing is kept. */
  apply(how: { dryRun: boolean }): Promise<void>;
}

/** Why a change is not written without a further word of the user's. */
export interface Hold {
  /** The option that lifts it. */
  option: '--write' | '--force';
  /** Whole sentences: who owns the YAML, and what happens otherwise. */
  explanation: string;
}
