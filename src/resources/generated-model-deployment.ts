// Generated from crds/ by scripts/generate-types.ts. Do not edit.
import type { Condition } from './generated-cluster-node.ts';

/** One rank on its node. */
export interface GroupMember {
  /** ClusterNode that runs it. */
  nodeName: string;
  /** From 0, which answers for the group. */
  rank: number;
  /** Its place among the ranks that share its layers. */
  tensorRank: number;
  /** Its pipeline stage. */
  stage: number;
  /** Its layers, first and last, for instance "0-15". */
  layers: string;
  /** Threads that it computes with; 0 leaves it to the engine. */
  threads: number;
  /** Bytes planned for it. */
  memoryBytes: number;
  /** What its node last said of it. */
  state: string;
}

/** One group. */
export interface GroupStatus {
  /** From 0. */
  index: number;
  /** Name of the ModelDeploymentRevision that it runs. */
  revision: string;
  /** Counts the starts of this group since it was created; fences late ranks. */
  incarnation: number;
  /** Failures in a row since it was last Ready for long enough. */
  restarts: number;
  /** What the group does. */
  state: 'Waiting' | 'Starting' | 'Ready' | 'Draining' | 'Backoff' | 'Stopping' | 'Failed';
  /** Why it does that, in one CamelCase word. */
  reason?: string;
  /** Why it does that, for people. */
  message?: string;
  /** Base URL of the group's own OpenAI-compatible server. */
  endpoint?: string;
  /** Wall time before which it is not started again. */
  notBefore?: string;
  /** What follows Draining and Stopping: Restart after a pause, Replan at once, Hold until the user changes something, Remove the group. */
  after?: 'Restart' | 'Replan' | 'Hold' | 'Remove';
  /** Engine of the plan that its ranks come from. */
  engine?: string;
  /** What its ranks exchange over; None for a single rank. */
  interconnectMode?: 'None' | 'TCP' | 'RDMA';
  /** Longest prompt plus completion that its ranks are started for, in tokens. */
  contextLength?: number;
  /** What its plan gave up, best first; absent when it is the plan that was asked for. */
  degradedBy?: ('FewerNodes' | 'Pipeline' | 'TCP')[];
  /** Host and port where its rank 0 meets the others. */
  rendezvousAddress?: string;
  /** When it last came forward. */
  progressTime?: string;
  /** Since when every rank answers. */
  readyTime?: string;
  /** When a Draining group is stopped, whatever is still under way. */
  drainDeadlineTime?: string;
  /** What spec.restartTime was when it was started last. */
  restartTime?: string;
  /** What a Waiting group waits for where spec.preemptionPolicy lets it stop others; absent when nobody has to leave. */
  preemption?: PreemptionStatus;
  /** Its ranks. */
  members: GroupMember[];
}

/** What is wanted. Written by the user only. */
export interface ModelDeploymentSpec {
  /** Number of groups. One group serves one whole copy of the model, cut across one or more nodes. */
  replicas: number;
  /** The model to serve. */
  model: {
    /** Where the weights come from: hf:// (Hugging Face), file:// (a folder that every node has), s3:// or oci://. */
    uri: string;
    /** Pinned commit or digest. When unset it is resolved once and recorded in status.resolvedModel.revision. */
    revision?: string;
    /** Names under which clients ask for the model. None means the deployment's own name. */
    servedNames: string[];
    /** Secret that holds the token for a private source. */
    credentialsSecretRef?: {
      /** Name of the Secret, in the deployment's namespace. */
      name: string;
      /** Key within the Secret. */
      key: string;
    };
  };
  /** The engine, and how much each group must hold at once. */
  runtime: {
    /** Engine that runs the ranks. Auto lets the planner choose. */
    name: 'Auto' | 'BuiltIn' | 'MLX' | 'EXO' | 'LlamaCpp' | 'Ollama' | 'MLCLLM';
    /** Exact version of the engine; empty takes what the nodes have. */
    version: string;
    /** Further arguments for the engine's process, passed as they are. */
    args: string[];
    /** Longest prompt plus completion of one request, in tokens. Memory is planned for it. */
    contextLength: number;
    /** Requests that one group decodes at once. Memory is planned for all of them. */
    maxConcurrentRequests: number;
  };
  /** What the planner prefers among cuts that fit. */
  objective: 'TimeToFirstToken' | 'SustainedThroughput' | 'SingleStream' | 'Efficiency';
  /** How a group is cut. */
  parallelism: {
    /** Single keeps the model on one node, Tensor cuts every layer, Pipeline cuts between layers, Hybrid does both. Auto lets the planner choose. */
    strategy: 'Auto' | 'Single' | 'Tensor' | 'Pipeline' | 'Hybrid';
    /** Ranks that share every layer. Unset lets the planner choose. */
    tensorSize?: number;
    /** Stages, each with its own layers. Unset lets the planner choose. */
    pipelineSize?: number;
    /** Ranks that share the experts of a mixture-of-experts layer. */
    expertSize?: number;
  };
  /** What the ranks of a group exchange over. */
  interconnect: {
    /** RDMA over Thunderbolt 5, TCP, or Auto for the best that the links of the plan allow. */
    mode: 'Auto' | 'RDMA' | 'TCP';
    /** Whether a slower interconnect than the one asked for may be used. */
    fallback: 'Allow' | 'Forbid';
  };
  /** Which nodes may run ranks, and what stays free on them. */
  placement: {
    /** Restricts the nodes. */
    nodeSelector: {
      /** Labels that a ClusterNode must have, all of them. */
      matchLabels: Record<string, string>;
    };
    /** Taints that do not keep ranks away. */
    tolerations: Toleration[];
    /** Quantity of memory that stays free on each node beside the plan, for instance 8Gi. */
    memoryHeadroom: string;
  };
  /** What may be given up when nodes or links are lost, rather than serve nothing. */
  degradation: {
    /** FewerNodes plans on the nodes that are left, Pipeline cuts between layers instead of within them, TCP does without RDMA. */
    allow: ('FewerNodes' | 'Pipeline' | 'TCP')[];
    /** Decode speed of one request below which serving nothing is better. 0 is no bound. */
    minTokensPerSecond: number;
  };
  /** The higher one gets its place first; among equals the older deployment does, then the first by name. It stops nobody unless preemptionPolicy says so, and changing it restarts nothing. */
  priority: number;
  /** What becomes of a group that has no place, not even with all that degradation allows: Never lets it wait for room. PreemptLowerPriority stops groups of deployments with a lower priority, as few as will do; they finish what is under way and come back when there is room. Unlike that of Pods the default is Never, because a group that stops has its model to load again. */
  preemptionPolicy: 'Never' | 'PreemptLowerPriority';
  /** How a new revision replaces the old one. */
  strategy: {
    /** Recreate stops all groups and then starts them anew; RollingUpdate goes group by group. */
    type: 'Recreate' | 'RollingUpdate';
    /** Bounds of a RollingUpdate, in groups. */
    rollingUpdate: {
      /** Groups that may be missing during the update. */
      maxUnavailable: number;
      /** Groups that may exist beyond replicas during the update, where the nodes have room. */
      maxSurge: number;
      /** Groups with an index below this one stay at the revision that they run, also when they are started again, and spec.restartTime leaves them alone. */
      partition: number;
    };
    /** What happens when a rollout misses its deadline or a new group fails for good: Hold leaves it where it is, Rollback moves the groups back to the last revision that was fully rolled out. That shows in status only; spec is never written. */
    onFailure: 'Hold' | 'Rollback';
  };
  /** What a rank may reach. */
  dataPolicy: {
    /** Whether ranks may reach anything but their peers once their weights are staged. */
    egress: 'Deny' | 'Allow';
  };
  /** How failing groups are restarted. The group is the unit, all ranks or none. */
  restartPolicy: {
    /** Failures in a row after which the deployment is Stalled. */
    maxGroupRestarts: number;
    /** Wait before the first restart; doubled by each failure in a row. */
    backoffSeconds: number;
  };
  /** Time without progress after which a rollout counts as failed. */
  progressDeadlineSeconds: number;
  /** Time for which a group must stay ready before it counts as available. */
  minReadySeconds: number;
  /** Old revisions that are kept for going back. One that a group still runs is always kept. */
  revisionHistoryLimit: number;
  /** Moves no group to another revision and restarts none for restartTime. What is there is still scaled and healed. */
  paused: boolean;
  /** Set it to now to restart every group once, as strategy says. A group is restarted when this is later than what it was when the group was started; an earlier time or none restarts nothing. */
  restartTime?: string;
  /** How long a group that is to stop may finish requests that are under way. It gets no new ones meanwhile. */
  drainTimeoutSeconds: number;
}

/** What is seen. Written by the controller only. */
export interface ModelDeploymentStatus {
  /** Generation of spec that the rest of status speaks of; -1 before the first look. */
  observedGeneration: number;
  /** Ready, Available, Progressing, Planned, WeightsStaged, InterconnectReady; abnormal and absent when all is well: Reconciling, Stalled, Degraded, RolledBack. */
  conditions: Condition[];
  /** Groups that exist. */
  replicas: number;
  /** Groups of which every rank answered. */
  readyReplicas: number;
  /** Groups of the newest revision. */
  updatedReplicas: number;
  /** Groups that have been ready for minReadySeconds. */
  availableReplicas: number;
  /** Label selector of the groups, as the scale subresource wants it. */
  selector?: string;
  /** Name of the revision that was fully rolled out last, and answered. */
  currentRevision?: string;
  /** Name of the revision that equals spec. */
  updateRevision?: string;
  /** Name of the revision that groups are moved to. Another one than updateRevision after a rollback by strategy.onFailure. */
  effectiveRevision?: string;
  /** The revision that strategy.onFailure went back from. It is not tried again until it is not the one that spec asks for any more, or until spec.restartTime changes. */
  failedRevision?: {
    /** Name of the revision. */
    name: string;
    /** Why its rollout failed, in one CamelCase word. */
    reason: string;
    /** Why its rollout failed, for people. */
    message: string;
    /** What spec.restartTime was when it failed. */
    restartTime?: string;
  };
  /** When the rollout last came further than ever; progressDeadlineSeconds counts from then. Absent when it is rolled out. */
  progress?: {
    /** When that was. */
    time: string;
    /** How far it was, in steps of all groups; for nothing but to be compared with. */
    mark: number;
  };
  /** What model.uri turned out to be. */
  resolvedModel?: {
    /** Commit or digest that the weights have. */
    revision: string;
    /** Bytes of all tensors. */
    sizeBytes: number;
    /** The model_type of its config.json. */
    architecture: string;
  };
  /** The cut that runs or is being rolled out. */
  plan?: PlanStatus;
  /** What was measured. */
  observed?: {
    /** Decode speed of one request, as a decimal number. */
    decodeTokensPerSecond?: string;
  };
  /** The groups, one copy of the model each. */
  groups: GroupStatus[];
  /** Where clients reach the deployment. */
  endpoint?: {
    /** Base URL of the OpenAI-compatible endpoint. */
    url: string;
  };
}

/** The cut that runs or is being rolled out. */
export interface PlanStatus {
  /** Identifies what was decided. */
  hash: string;
  /** Kind of cut. */
  strategy: 'Single' | 'Tensor' | 'Pipeline' | 'Hybrid';
  /** Ranks that share every layer. */
  tensorSize: number;
  /** Stages. */
  pipelineSize: number;
  /** What the ranks exchange over; None for a single rank. */
  interconnectMode: 'None' | 'TCP' | 'RDMA';
  /** Engine that runs the ranks. */
  engine: string;
  /** How the group is expected to perform; absent where the hardware is not known. */
  predicted?: {
    /** Decode speed of one request, as a decimal number. */
    decodeTokensPerSecond?: string;
    /** Speed at which a prompt is read, as a decimal number. */
    prefillTokensPerSecond?: string;
    /** From the request to its first token, for a prompt of 512 tokens. */
    timeToFirstTokenMilliseconds?: number;
    /** Of all nodes of the group while it decodes. */
    powerWatts?: number;
    /** What the fleet's own measurements multiplied these speeds with, as a decimal number; absent for 1. */
    correction?: string;
  };
  /** Why this cut, with numbers. */
  explanation: string;
  /** Options that were not taken, and why. */
  rejected: {
    /** For instance "Tensor 4 on a, b, c, d". */
    option: string;
    /** One CamelCase word from the catalogue of reasons. */
    reason: string;
    /** The constraint with its numbers. */
    message: string;
  }[];
}

/** What a Waiting group waits for where spec.preemptionPolicy lets it stop others; absent when nobody has to leave. */
export interface PreemptionStatus {
  /** Memory that no deployment whose turn comes later is given meanwhile. */
  room: {
    /** ClusterNode where that is. */
    nodeName: string;
    /** Bytes planned for the rank. */
    memoryBytes: number;
  }[];
  /** Groups that have to be gone before it starts. */
  awaits: {
    /** Namespace of its ModelDeployment. */
    namespace: string;
    /** Name of its ModelDeployment. */
    name: string;
    /** Its index. */
    index: number;
    /** Its incarnation; started anew it has left. */
    incarnation: number;
  }[];
}

/** A taint that is tolerated. */
export interface Toleration {
  /** Key of the taint. */
  key: string;
  /** Effect that is tolerated; unset tolerates every effect. */
  effect?: 'NoSchedule' | 'NoExecute';
}
