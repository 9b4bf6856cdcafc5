/** What time a token takes: few physical parameters, fitted to published measurements by `npm run calibration`. */
export interface PerformanceFacts {
  engines: readonly EnginePerformance[];
  generations: readonly GenerationPerformance[];
  costs: CostFacts;
}

/** How fast kernels are. Engines that no entry names are not predicted; of several entries the last holds. */
export interface EnginePerformance {
  /** EngineFacts.name of those that run these kernels. */
  names: readonly string[];
  decode: DecodePerformance;
  prefill: PrefillPerformance;
  /** Half-widths of the band that holds eight in ten measurements, as shares: 0.1 is 10 %. */
  band: {
    /** Families and chips that measurements of this engine exist for. */
    known: number;
    /** Otherwise: what leaving out whole families and chips from the fit gives. */
    unknown: number;
    /** Added for several ranks. */
    exchange: number;
  };
  /** config.json's model_type of the families that were measured. */
  measuredArchitectures: readonly string[];
  source: string;
}

/** One token: bytes read, weights unpacked, kernels launched. */
export interface DecodePerformance {
  /** Of the memory's bandwidth, what reading weights reaches on a chip with one die and with two. */
  bandwidthShare: { oneDie: number; twoDies: number };
  /** Shader operations for each weight that is multiplied: unpacking, scaling. */
  operationsPerWeight: { float: number; quantized: number };
  /** Fixed time of a layer on one M4 die, whatever its size: launches and waits. The parts add up. */
  layerMicroseconds: {
    base: number;
    experts: number;
    latentAttention: number;
    linearAttention: number;
    slidingWindow: number;
  };
  /** Sampling and detokenising, on one M4 die. */
  tokenMicroseconds: number;
  /** How much longer launches take on two dies. */
  twoDieFactor: number;
  /**
   * How often the cache is read as if at full bandwidth: once for each key-value head, a little more for each
   * further query head that shares it; latents are expanded to heads first.
   */
  cacheReads: { attention: number; sharingHead: number; latentAttention: number };
  /** What an all-reduce waits longer, on one M4 die, where ranks do not spin on memory (MLX_METAL_FAST_SYNCH=0). */
  synchronizationMicroseconds: number;
  /** Engines of this entry with kernels of their own: what a layer of a kind takes beyond `layerMicroseconds`. */
  ownKernelMicroseconds?: Readonly<Record<string, { linearAttention: number }>>;
  /** Share of the shader rate that each further sequence of a small batch is multiplied at. */
  batchShare: number;
  /** Families whose layers are several ordinary ones in launches, by model_type. */
  layerFactors: Readonly<Record<string, number>>;
}

/** Many tokens at once: operations, and all weights read once for each batch of rows. */
export interface PrefillPerformance {
  /**
   * Of the shader rate: matrices that all rows share, matrices of experts, scores of attention with fused
   * kernels and of heads that are too wide for these.
   */
  computeShare: {
    dense: number;
    experts: number;
    attention: number;
    wideAttention: number;
    latentAttention: number;
  };
  /** Products fill tiles of so many rows: with few rows for each expert, the last one is half empty. */
  expertTileRows: number;
  /** Of the other stages' time, what passes while a stage works on the next batch of rows: 1 or 0. */
  stageOverlap: number;
  /** How much faster with matrix units in the GPU cores (M5 and later). */
  matmulUnitFactor: { matrices: number; attention: number };
  /** Of the rate that M1 and M2 reach, which have no bfloat16: 1 for engines that compute in float16. */
  bfloat16Share: number;
  /** Once for each batch of rows, on one M4 die. */
  batchMilliseconds: number;
  /** A request before its first batch: what it always takes, for each entry of the vocabulary (mlx-lm builds a detokeniser), for each further rank. */
  requestMilliseconds: number;
  vocabularyMicroseconds: number;
  rankMilliseconds: number;
  /** The last layers, if they share the cache of earlier ones, are not computed for a prompt: nothing asks for them. */
  skipsUncachedLayers?: boolean;
  /** The first request after a pause of some seconds waits while macOS wires the weights again; absent: it does not. */
  wiringMillisecondsPerGB?: number;
}

/** How launches became faster: relative to M4. Later generations than the last count as the last. */
export interface GenerationPerformance {
  /** 4 for M4, M4 Pro, M4 Max. */
  generation: number;
  launchFactor: number;
  source: string;
}

/** What prices and watts assume. */
export interface CostFacts {
  usdPerKWh: number;
  /** Machines cost their list price over so many years, around the clock. */
  depreciationYears: number;
  /** At the wall, for each busy GPU core with its share of the memory. */
  wattsPerGPUCore: number;
  source: string;
}
