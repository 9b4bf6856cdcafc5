import type { PerformanceFacts } from './performance-facts.ts';

/** Facts about hardware and engines, as data: each with where it comes from. Users extend them from YAML. */
export interface Catalogue {
  chips: readonly ChipFacts[];
  machines: readonly MachineFacts[];
  links: readonly LinkFacts[];
  engines: readonly EngineFacts[];
  performance: PerformanceFacts;
}

/** One variant of a chip: "M4 Max" with 40 GPU cores and with 32 are two. */
export interface ChipFacts {
  /** "M4 Max", as macOS names it without "Apple ". */
  chip: string;
  gpuCores: number;
  cpuCores: number;
  memoryBandwidthGBps: number;
  /** Shader rate at 16 bits, an estimate. */
  fp16TFLOPS: number;
  /** Matrix units in each GPU core (M5 and later): engines that use them prefill 2 to 4 times faster. */
  hasMatmulUnits: boolean;
  /** Two for an Ultra. */
  dies: number;
  source: string;
}

export interface MachineFacts {
  /** "Mac15,14"; several for one product, none while not known. */
  modelIdentifiers: readonly string[];
  marketingName: string;
  chip: string;
  /** Which variant of the chip goes with which memory, smallest first. */
  configurations: readonly MachineConfiguration[];
  thunderbolt: 'Thunderbolt3' | 'Thunderbolt4' | 'Thunderbolt5';
  /** Ports that RDMA may use; 0 where it cannot. */
  rdmaPorts: number;
  ethernetGbps: number;
  idleWatts: number;
  maxWatts: number;
  /** Share of the memory that the GPU may wire unless iogpu.wired_limit_mb is raised. */
  wiredShare: { upTo32GiB: number; above32GiB: number };
  source: string;
}

export interface MachineConfiguration {
  memoryGiB: number;
  /** Where several variants are sold with this memory: the smallest, so that nothing is promised too much. */
  gpuCores: number;
  listPriceUSD?: number;
}

/** How a pair of nodes exchanges, and what that costs. */
export interface LinkFacts {
  type: 'Thunderbolt5' | 'Thunderbolt4' | 'Thunderbolt3' | 'Ethernet' | 'WiFi' | 'SharedHost';
  mode: 'RDMA' | 'TCP';
  /** Of the wire, for Ethernet 1, 2.5 or 10. */
  linkGbps: number;
  /** All-reduce of one token's activations (≤ 32 KB), by number of ranks. */
  allReduceMicroseconds: readonly { ranks: number; microseconds: number }[];
  /** One stage's activations of one token to the next stage. */
  hopMicroseconds: number;
  /** Large messages, as the engine sees them. */
  bandwidthGBps: number;
  source: string;
}

/** What an engine can do: every limit that planning must respect. */
export interface EngineFacts {
  /** As in spec.runtime.name. */
  name: string;
  version: string;
  /** What it computes on: a GPU engine needs a Mac with Apple silicon. */
  runsOn: 'AppleGPU' | 'CPU';
  /** config.json's model_type of the families that it can run; `Any` only for engines that read every GGUF. */
  architectures: readonly string[] | 'Any';
  formats: readonly Quantizable[];
  /**
   * What is planned of an architecture that no engine of the catalogue names, as if a later release ran it: one node,
   * or whole layers in stages too. Absent: nothing.
   */
  unnamed?: 'Single' | 'Stages';
  /** Undefined: it cannot cut a layer. */
  tensor?: {
    /** Families that it can shard; those of `architectures` that are missing run on one node or in stages. */
    architectures: readonly string[] | 'Any';
    sizes: readonly number[] | 'Any';
    /** What it leaves whole on each rank beside the profile's replicated bytes. */
    replicates: readonly ('Embedding' | 'Head')[];
    interconnects: readonly ('TCP' | 'RDMA')[];
    /** The hidden size must be a multiple of the ranks too. */
    dividesHiddenSize?: boolean;
    /** Over RDMA every pair of ranks needs a cable of its own; a ring will not do. */
    needsFullMesh?: boolean;
  };
  pipeline?: {
    architectures: readonly string[] | 'Any';
    /** Whether stages may have unequal numbers of layers. */
    uneven: boolean;
    /** What every stage holds, not only the one that needs it. */
    replicates?: readonly ('Embedding' | 'Head')[];
    interconnects: readonly ('TCP' | 'RDMA')[];
  };
  /** Experts whole on different nodes; no release of an engine for Macs has it. */
  expert: ExpertFacts | false;
  /**
   * Environment variable that ranks which sum over RDMA must be started with (1): without it they wait for events
   * of Metal instead of spinning. Absent where the engine sees to it.
   */
  fastSynchVariable?: string;
  /** How many requests go through the layers together. */
  batches: boolean;
  /** Bytes of one element of the KV cache. */
  kvElementBytes: number;
  /** Most prompt tokens that go through the layers at once. */
  batchRows: number;
  /** Host process without weights and caches: interpreter, runtime, compiled kernels. */
  processBytes: number;
  source: string;
}

/** How an engine spreads whole experts over ranks, each of which routes for itself. */
export interface ExpertFacts {
  architectures: readonly string[] | 'Any';
  /**
   * What is not an expert: `Whole` on each rank, which computes it for itself, so that one all-reduce a layer sums
   * what the experts gave; `Cut` among the same ranks as tensor parallelism does.
   */
  rest: 'Whole' | 'Cut';
  interconnects: readonly ('TCP' | 'RDMA')[];
}

export type Quantizable = 'Float' | 'Affine' | 'Mxfp4' | 'Gguf';
