// Generated from crds/ by scripts/generate-types.ts. Do not edit.

/** What is wanted. Written by the user only. */
export interface ClusterNodeSpec {
  /** Keeps new ranks away; what runs stays. */
  unschedulable: boolean;
  /** Keep ranks away of deployments that do not tolerate them. */
  taints: {
    /** Its name. */
    key: string;
    /** NoSchedule keeps new ranks away; NoExecute also moves those that run. */
    effect: 'NoSchedule' | 'NoExecute';
  }[];
  /** Quantity of memory that stays with the operating system, for instance 16Gi. Unset takes the planner's reserve for the machine. */
  reservedMemory?: string;
  /** What Espalier may do with the node's links. */
  linkPolicy: {
    /** Whether ranks may use RDMA here. */
    allowRDMA: boolean;
    /** Observe only looks at network settings; Manage may change those that RDMA needs. */
    manageNetwork: 'Observe' | 'Manage';
  };
  /** Age of the last report at which the node counts as lost and its groups are planned elsewhere, by the control plane's own clock. Daemons report at least every 10 seconds. */
  nodeLostToleranceSeconds: number;
  /** What planning assumes before the daemon has reported. */
  hardware?: {
    /** Machine model, for instance Mac16,11. */
    model?: string;
    /** Quantity of memory, for instance 48Gi. */
    memory?: string;
  };
  /** Links that planning assumes before the daemon has reported. */
  links: {
    /** ClusterNode at the other end. */
    peerNodeName: string;
    /** Kind of link. SharedHost is two nodes on one machine. */
    type: 'Thunderbolt5' | 'Thunderbolt4' | 'Ethernet' | 'SharedHost';
  }[];
}

/** What is seen. Written by the controller only. */
export interface ClusterNodeStatus {
  /** Generation of spec that the rest of status speaks of; -1 before the first look. */
  observedGeneration: number;
  /** Ready, RDMAEnabled, MemoryPressure, DiskPressure, ThermalPressure, OSSkewed. */
  conditions: Condition[];
  /** The machine, as its daemon reports it. */
  hostInfo?: {
    /** Equal on two nodes that share one machine. */
    hostID: string;
    /** Machine model. */
    model: string;
    /** Processor. */
    chip: string;
    /** Version of the operating system. */
    osVersion: string;
    /** Build of the operating system. */
    osBuild: string;
    /** Version of the node daemon. */
    daemonVersion: string;
  };
  /** What the machine has. */
  capacity?: {
    /** Quantity of memory. */
    memory: string;
  };
  /** What ranks may use. */
  allocatable?: {
    /** Quantity of memory, after the reserve. */
    memory: string;
  };
  /** Links as both ends see them. */
  links: {
    /** Port on this node. */
    localPort: string;
    /** ClusterNode at the other end. */
    peerNodeName: string;
    /** Kind of link. */
    type: string;
    /** RDMA device, for instance rdma_en4. */
    rdmaDevice?: string;
    /** What it carries. */
    mode: string;
    /** Measured bandwidth, as a decimal number. */
    bandwidthGbps?: string;
    /** Measured latency, as a decimal number. */
    latencyMicroseconds?: string;
    /** Up or Down. */
    state: string;
    /** Why, in one CamelCase word. */
    reason?: string;
    /** Why, and what to do. */
    message?: string;
  }[];
  /** Engines that the node can run. */
  engines: {
    /** Its name, as in spec.runtime.name of a ModelDeployment. */
    name: string;
    /** Its version. */
    version: string;
  }[];
  /** Models whose weights the node has. */
  cachedModels: {
    /** Where it came from. */
    uri: string;
    /** Commit or digest. */
    revision?: string;
    /** Bytes on disk. */
    sizeBytes: number;
    /** Ready, Missing or Invalid. */
    state: string;
  }[];
  /** Ranks on the node. */
  ranks: {
    /** Namespace and name, "default/sprout". */
    deployment: string;
    /** Index of its group. */
    group: number;
    /** Its rank in the group. */
    rank: number;
    /** What the daemon last said of it. */
    state: string;
  }[];
}

/** One aspect of the object's state. */
export interface Condition {
  /** Name of the aspect. */
  type: string;
  /** Whether it holds. */
  status: 'True' | 'False' | 'Unknown';
  /** Generation of spec that it speaks of. */
  observedGeneration: number;
  /** When status last changed. */
  lastTransitionTime: string;
  /** Why, in one CamelCase word from the catalogue of reasons. */
  reason: string;
  /** Why, for people, with numbers and what to do. */
  message: string;
}
