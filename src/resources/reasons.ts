/**
 * Every reason that a condition, an event or a plan's rejection may carry, with the sentence that explains
 * it. Keys sorted, CamelCase, states rather than verbs. The reason of an event, of a condition and the label
 * of a metric for one cause are the same word.
 */
export const reasons = {
  AllRanksAnswered: 'Every rank of every group answered a canary token.',
  AwaitingCapacity: 'A plan exists, but other deployments hold the memory it needs now.',
  AwaitingFirstReport: 'The node daemon has not reported to this control plane yet.',
  AwaitingGroups: 'Fewer groups than wanted have answered a canary token so far.',
  AwaitingNodes:
    'No plan fits the nodes that are available now; it is tried again when one comes back.',
  AwaitingPreemption:
    'The group starts once groups that leave for it, or leave anyway, have left their nodes.',
  AwaitingRanks: 'The ranks of a group are starting.',
  AwaitingRendezvous: 'Ranks wait for the address where their group meets.',
  BelowMinimumSpeed:
    'The predicted decode speed is below degradation.minTokensPerSecond: serving nothing is better.',
  CanaryFailed: 'A group formed, but a token did not come back through all of its ranks.',
  DaemonReporting: 'The node daemon reports within its tolerance.',
  DegradedPlan: 'The deployment runs with less than it asked for, down its own ladder.',
  Deleted: 'The object was removed and everything it owned is gone.',
  Deleting: 'The object was removed; its ranks are being stopped.',
  DuplicateName: 'Two documents name the same object; the first one is served.',
  EngineUnavailable: 'The engine that was asked for is not available on any node that fits.',
  EventsNotSaved: 'Events could not be written; they are kept in memory.',
  FieldNotAvailable: 'The field asks for something that this release does not have yet.',
  FileUnreadable: 'A file in the watched directory could not be read.',
  GroupBackoff: 'A group failed and waits before its next start.',
  GroupFailed: 'A rank of the group failed, so the whole group was stopped.',
  GroupReady: 'Every rank of the group answered.',
  GroupStarted: 'Ranks of the group were assigned to nodes.',
  IncompatibleModel: 'The model is of a kind that no available engine can run.',
  IndivisibleHeads: 'The number of attention heads cannot be divided by the tensor size.',
  IndivisibleIntermediateSize: 'The MLP width cannot be divided by the tensor size.',
  IndivisibleKVHeads: 'The number of key-value heads cannot be divided by the tensor size.',
  IndivisibleQuantizationGroups: 'Slices would cut through a quantisation group.',
  InsufficientLayers: 'The model has fewer layers than pipeline stages.',
  InsufficientMemory: 'A rank needs more memory than its node has left.',
  InsufficientNodes: 'Fewer nodes are available than the cut needs.',
  InterconnectUp: 'All links that the plan uses are up.',
  InvalidSpec: 'The newest YAML is not valid; the last good spec keeps running.',
  LessForObjective: 'It is predicted to be worse by what spec.objective counts.',
  LinkDown: 'A link that the plan uses is down.',
  MinimumAvailable: 'At least as many groups serve as the strategy allows.',
  MinimumUnavailable: 'Fewer groups serve than the strategy allows.',
  ModelInvalid: 'The model folder is missing, incomplete or damaged.',
  ModelNotFound: 'The model folder does not exist.',
  MoveNotEarned:
    'It is predicted to be better than where the group runs, but by too little for a move.',
  NoLink: 'Two nodes of the cut have no link between them.',
  NoRDMAMesh: 'Not every pair of nodes has an RDMA link.',
  NodeCordoned: 'The node is marked unschedulable.',
  NodeDeleted: 'The ClusterNode was removed, and with it the place of its ranks.',
  NodeLost: 'The node has not reported within its tolerance.',
  NodeNotDeclared: 'A daemon reports under a name that no ClusterNode has.',
  NodeReporting: 'The node reports again.',
  NodeSelectorMismatch: 'The node does not have the labels that placement asks for.',
  NodesNotEarned:
    'It is predicted to be better, but by too little for the nodes that it takes more.',
  NotAvailableYet: 'This release cannot do that yet.',
  NotPredicted: 'Its speed is not predicted, that of the chosen plan is.',
  Paused: 'Rollout is paused by spec.paused.',
  Pending: 'The object was accepted and not looked at yet.',
  PlanChanged: 'A new plan replaces the one that ran.',
  PlanFound: 'A plan fits the available nodes.',
  PlanRejected: 'No plan can fit: the user must change the deployment or the nodes.',
  Preempted:
    'The group left its place to a deployment of higher priority; it starts again when there is room.',
  ProgressDeadlineExceeded: 'The rollout made no progress within progressDeadlineSeconds.',
  RankFailed: 'A rank exited or stopped making progress.',
  RestartLimitExceeded: 'A group failed more often in a row than restartPolicy allows.',
  RolledBack:
    'An earlier revision was taken up again: the spec equals it, or strategy.onFailure went back to it.',
  RolledOut: 'This generation is fully rolled out.',
  RollingOut: 'Groups are being moved to the newest revision.',
  ScaledToZero: 'The deployment asks for no groups.',
  ScalingDown: 'Groups beyond the wanted number are being stopped.',
  ScalingUp: 'Groups are being added.',
  SpecInvalid: 'A document is not valid.',
  SpecValid: 'A document that was not valid is valid again.',
  StateCorrupt: 'A file in the state directory could not be read and was set aside.',
  StateNotWritable:
    'The state directory cannot be written; nothing can be acknowledged until it can.',
  StateWritable: 'The state directory can be written again.',
  TaintNotTolerated: 'The node has a taint that the deployment does not tolerate.',
  UnsupportedModelSource: 'The model URI has a scheme that this release cannot fetch.',
  WatchedDirectoryMissing:
    'The watched directory is gone; the objects read from it stay as they were.',
  WatchedDirectoryRestored: 'The watched directory is back.',
  WeightsMissing: 'A node does not have the weights of its ranks.',
  WeightsPresent: 'Every node of the plan has its weights.',
  WeightsUnchecked: 'No node has checked the weights yet.',
} as const satisfies Record<string, string>;

export type Reason = keyof typeof reasons;

export const isReason = (text: string): text is Reason => Object.hasOwn(reasons, text);
