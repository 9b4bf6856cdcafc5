import type { Catalogue } from '../catalogue/facts.ts';
import type { ClusterNodeSpec, ModelDeploymentSpec } from '../resources/types.ts';
import type { ModelProfile } from '../catalogue/model-profile.ts';
import type { Correction } from './performance/correction.ts';
import type { Prediction } from './prediction.ts';

export type { ModelProfile };

/** Everything the planner may know. Pure data: same input, same plan; the order of lists changes nothing. */
export interface PlanInput {
  deployment: { namespace: string; name: string; spec: ModelDeploymentSpec };
  model: ModelProfile;
  nodes: readonly PlanNode[];
  catalogue: Catalogue;
  /** What predictions are made for. */
  workload?: Workload;
  /** What the fleet measured beside what was predicted. */
  corrections?: readonly Correction[];
  /** Where the group runs now, by rank: kept when it still fits, so that a replan moves nothing without need. */
  current?: CurrentPlacement;
  /**
   * Nodes of the other groups of this deployment, once for each group: of equal options the one that shares the
   * fewest is taken, so that one lost node takes as few groups as may be. Never at the price of speed.
   */
  siblings?: readonly string[];
  /** Groups of this deployment that are to be placed after this one: it leaves them nodes where that gives more in all. */
  groupsAhead?: number;
}

/** What changes from one plan to the next. */
export type PlanRequest = Omit<PlanInput, 'catalogue'>;

/** One request. */
export interface Workload {
  promptTokens: number;
  generatedTokens: number;
}

export interface CurrentPlacement {
  tensorSize: number;
  pipelineSize: number;
  /** nodeNames[rank]. */
  nodeNames: string[];
  /** Absent: any. */
  engine?: string;
}

/** A node as planning sees it: the report where there is one, else spec.hardware and spec.links. */
export interface PlanNode {
  name: string;
  labels: Record<string, string>;
  spec: ClusterNodeSpec;
  /** False when the node is lost, not reported yet (and planning is for real), or being deleted. */
  available: boolean;
  /** Why it is not available, for the explanation. */
  unavailableReason?: string;
  hostID: string;
  hardwareModel: string;
  chip: string;
  osVersion: string;
  cpuCount: number;
  memoryBytes: number;
  /** Planned memory of other groups' ranks on this node. */
  usedMemoryBytes: number;
  /** Who holds it, as far as that is known; for messages and nothing else. */
  heldBy?: readonly Holder[];
  /** Empty: not reported yet, and assumed to be there. */
  engines: { name: string; version: string }[];
  links: PlanLink[];
}

/** "group 2 of this deployment", and the memory that is planned for it. */
export interface Holder {
  who: string;
  memoryBytes: number;
}

export interface PlanLink {
  peerNodeName: string;
  /** Thunderbolt5, Thunderbolt4, Ethernet, SharedHost. */
  type: string;
  rdma: boolean;
  up: boolean;
}

export interface PlannedRank {
  nodeName: string;
  rank: number;
  tensorRank: number;
  stage: number;
  firstLayer: number;
  endLayer: number;
  threads: number;
  memory: MemoryBreakdown;
  /** What iogpu.wired_limit_mb must be at least, where the machine's default is less. */
  wiredLimitMiB?: number;
}

/** Bytes that one rank needs. total = sum of the rest. */
export interface MemoryBreakdown {
  shardedWeightsBytes: number;
  replicatedWeightsBytes: number;
  kvCacheBytes: number;
  workspaceBytes: number;
  totalBytes: number;
}

export interface Plan {
  /** SHA-256 over what is decided (engine, cut, ranks, nodes, mode), not over the prose. */
  hash: string;
  strategy: 'Single' | 'Tensor' | 'Pipeline' | 'Hybrid';
  tensorSize: number;
  pipelineSize: number;
  /** Experts are whole, each on one of so many tensor ranks; absent where they are sliced like the rest. */
  expertSize?: number;
  interconnectMode: 'None' | 'TCP' | 'RDMA';
  /** Between stages, where it is not interconnectMode: islands that the network joins. */
  hopMode?: 'TCP';
  engine: string;
  /** What ranks must be started with: spec.runtime.contextLength, or the model's positions if those are fewer. */
  contextLength: number;
  ranks: PlannedRank[];
  /** What every rank must be started with: {"MLX_METAL_FAST_SYNCH": "1"}. Absent: nothing. */
  environment?: Readonly<Record<string, string>>;
  /** What the degradation ladder gave up to get here, best first; empty for the plan that was asked for. */
  degradedBy: ('FewerNodes' | 'Pipeline' | 'TCP')[];
  /** Why this one, with numbers, in a few sentences. */
  explanation: string;
  rejected: Rejection[];
  /** Absent where a chip or a link is not in the catalogue. */
  predicted?: Prediction;
}

/** A cut with an engine on the best nodes for it. */
export interface PlanOption {
  engine: string;
  strategy: Plan['strategy'];
  tensorSize: number;
  pipelineSize: number;
  /** Nodes with whole experts; absent where experts are sliced like the rest. */
  expertSize?: number;
  interconnectMode: Plan['interconnectMode'];
  /** By rank; empty where no nodes were found. */
  nodeNames: string[];
  /** Of the fullest rank. */
  memoryBytes?: number;
  predicted?: Prediction;
  verdict: 'Chosen' | 'Slower' | 'Rejected';
  /** CamelCase, from the reasons catalogue. */
  reason: string;
  message: string;
}

/** An option that was not taken, and the constraint with its numbers. */
export interface Rejection {
  /** "Tensor 4 on a, b, c, d" */
  option: string;
  /** CamelCase, from the reasons catalogue: InsufficientMemory, IndivisibleKVHeads, NoRDMAMesh, … */
  reason: string;
  message: string;
}

/** `terminal`: no change of the fleet's load or of nodes coming back can help; the user must act. */
export type PlanResult =
  | { ok: true; plan: Plan; options: PlanOption[] }
  | {
      ok: false;
      reason: string;
      message: string;
      terminal: boolean;
      rejected: Rejection[];
      options: PlanOption[];
    };
