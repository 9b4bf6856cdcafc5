/**
 * The kinds of espalier.dev/v1alpha1 after defaulting. Generated shapes replace these by the same names
 * (see crds/): every spec field is present because defaults were applied, unless marked optional.
 */
export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid: string;
  /** Counts semantic changes of spec, from 1. */
  generation: number;
  creationTimestamp: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: { apiVersion: string; kind: string; name: string; uid: string }[];
}

export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  observedGeneration: number;
  lastTransitionTime: string;
  reason: string;
  message: string;
}

export interface Resource<Kind extends string, Spec, Status> {
  apiVersion: 'espalier.dev/v1alpha1';
  kind: Kind;
  metadata: ObjectMeta;
  spec: Spec;
  status: Status;
}

export type ModelDeployment = Resource<
  'ModelDeployment',
  ModelDeploymentSpec,
  ModelDeploymentStatus
>;
export type ClusterNode = Resource<'ClusterNode', ClusterNodeSpec, ClusterNodeStatus>;

export interface ModelDeploymentRevision {
  apiVersion: 'espalier.dev/v1alpha1';
  kind: 'ModelDeploymentRevision';
  metadata: ObjectMeta;
  /** Counts up per deployment, the newest highest. */
  revision: number;
  /** Of the defaulted, canonically sorted `data`. */
  hash: string;
  hashVersion: number;
  data: RevisionedSpec;
}

/** What a revision snapshots; nothing else in spec makes a new revision. */
export type RevisionedSpec = Pick<
  ModelDeploymentSpec,
  | 'model'
  | 'runtime'
  | 'objective'
  | 'parallelism'
  | 'interconnect'
  | 'placement'
  | 'degradation'
  | 'dataPolicy'
>;

export interface ModelDeploymentSpec {
  replicas: number;
  model: {
    uri: string;
    revision?: string;
    servedNames: string[];
    credentialsSecretRef?: { name: string; key: string };
  };
  runtime: {
    name: 'Auto' | 'BuiltIn' | 'MLX' | 'EXO' | 'LlamaCpp' | 'Ollama' | 'MLCLLM';
    version: string;
    args: string[];
    contextLength: number;
    maxConcurrentRequests: number;
  };
  objective: 'TimeToFirstToken' | 'SustainedThroughput' | 'SingleStream' | 'Efficiency';
  parallelism: {
    strategy: 'Auto' | 'Single' | 'Tensor' | 'Pipeline' | 'Hybrid';
    tensorSize?: number;
    pipelineSize?: number;
    expertSize?: number;
  };
  interconnect: { mode: 'Auto' | 'RDMA' | 'TCP'; fallback: 'Allow' | 'Forbid' };
  placement: {
    nodeSelector: { matchLabels: Record<string, string> };
    tolerations: Toleration[];
    /** Quantity kept free on each node beside the plan. */
    memoryHeadroom: string;
  };
  degradation: { allow: ('FewerNodes' | 'Pipeline' | 'TCP')[]; minTokensPerSecond: number };
  strategy: {
    type: 'Recreate' | 'RollingUpdate';
    rollingUpdate: { maxUnavailable: number; maxSurge: number; partition: number };
    onFailure: 'Hold' | 'Rollback';
  };
  dataPolicy: { egress: 'Deny' | 'Allow' };
  restartPolicy: { maxGroupRestarts: number; backoffSeconds: number };
  progressDeadlineSeconds: number;
  minReadySeconds: number;
  revisionHistoryLimit: number;
  paused: boolean;
}

export interface Toleration {
  key: string;
  effect?: 'NoSchedule' | 'NoExecute';
}

export interface ModelDeploymentStatus {
  observedGeneration: number;
  conditions: Condition[];
  replicas: number;
  readyReplicas: number;
  updatedReplicas: number;
  availableReplicas: number;
  selector?: string;
  currentRevision?: string;
  updateRevision?: string;
  resolvedModel?: { revision: string; sizeBytes: number; architecture: string };
  plan?: PlanStatus;
  observed?: { decodeTokensPerSecond?: string };
  groups: GroupStatus[];
  endpoint?: { url: string };
}

export interface PlanStatus {
  hash: string;
  strategy: 'Single' | 'Tensor' | 'Pipeline' | 'Hybrid';
  tensorSize: number;
  pipelineSize: number;
  interconnectMode: 'None' | 'TCP' | 'RDMA';
  engine: string;
  explanation: string;
  rejected: { option: string; reason: string; message: string }[];
}

export interface GroupStatus {
  index: number;
  /** Name of the ModelDeploymentRevision that it runs. */
  revision: string;
  /** Counts the starts of this group since it was created; fences late ranks. */
  incarnation: number;
  /** Failures in a row since it was last Ready for long enough. */
  restarts: number;
  state: 'Waiting' | 'Starting' | 'Ready' | 'Backoff' | 'Stopping' | 'Failed';
  reason?: string;
  message?: string;
  endpoint?: string;
  /** Wall time before which it is not started again. */
  notBefore?: string;
  /** What follows Stopping: a start after a pause, a new plan, waiting for the user, or nothing (the group goes away). */
  after?: 'Restart' | 'Replan' | 'Hold' | 'Remove';
  /** Of the plan that its members come from: together with the revision, all that their assignments need. */
  engine?: string;
  interconnectMode?: 'None' | 'TCP' | 'RDMA';
  contextLength?: number;
  /** What the plan gave up, best first; absent when it is the plan that was asked for. */
  degradedBy?: ('FewerNodes' | 'Pipeline' | 'TCP')[];
  /** "host:port" where rank 0 of this incarnation said that the others meet it. */
  rendezvousAddress?: string;
  /** Wall time of the last step forward of any rank; progressDeadlineSeconds counts from it. */
  progressTime?: string;
  /** Wall time since which it is Ready. */
  readyTime?: string;
  members: GroupMember[];
}

export interface GroupMember {
  nodeName: string;
  rank: number;
  tensorRank: number;
  stage: number;
  /** Inclusive, for people: "0-15". */
  layers: string;
  threads: number;
  memoryBytes: number;
  state: string;
}

export interface ClusterNodeSpec {
  unschedulable: boolean;
  taints: { key: string; effect: 'NoSchedule' | 'NoExecute' }[];
  /** Quantity that stays with the operating system; unset: the planner's reserve. */
  reservedMemory?: string;
  linkPolicy: { allowRDMA: boolean; manageNetwork: 'Observe' | 'Manage' };
  /** Age of the last report at which the node counts as lost and its groups are planned elsewhere. */
  nodeLostToleranceSeconds: number;
  hardware?: { model?: string; memory?: string };
  links: { peerNodeName: string; type: string }[];
}

export interface ClusterNodeStatus {
  observedGeneration: number;
  conditions: Condition[];
  hostInfo?: {
    hostID: string;
    model: string;
    chip: string;
    osVersion: string;
    osBuild: string;
    daemonVersion: string;
  };
  capacity?: { memory: string };
  allocatable?: { memory: string };
  links: {
    localPort: string;
    peerNodeName: string;
    type: string;
    rdmaDevice?: string;
    mode: string;
    bandwidthGbps?: string;
    latencyMicroseconds?: string;
    state: string;
    reason?: string;
    message?: string;
  }[];
  engines: { name: string; version: string }[];
  cachedModels: { uri: string; revision?: string; sizeBytes: number; state: string }[];
  ranks: { deployment: string; group: number; rank: number; state: string }[];
}
