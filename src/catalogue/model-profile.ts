/**
 * What planning needs to know of a model, from config.json and the safetensors headers; no weights are read.
 * Sizes are exact where the format defines them.
 */
export interface ModelProfile {
  /** Folder or URI that it was read from. */
  uri: string;
  /** Hex SHA-256 over config, tokenizer, file names, sizes, headers and samples of the weights: changes when they do. */
  revision: string;
  /** False for a folder with config.json alone: it can be planned, not started. */
  weightsPresent: boolean;
  /** config.json's model_type: "llama", "deepseek_v3", … */
  architecture: string;
  /**
   * There is no rule for this architecture, so nothing is divided, and sizes come from the headers of the weights
   * (`Tensors`) or, without weights, from what config.json's fields usually mean (`Fields`).
   */
  basis: 'Architecture' | 'Tensors' | 'Fields';
  hiddenSize: number;
  vocabSize: number;
  tiedEmbeddings: boolean;
  maxPositions: number;
  /** The width most of the matrices have; absent for models that are not quantised. */
  quantization?: Quantization;
  /** Bytes of all tensors. */
  totalBytes: number;
  /** One for each decoder layer, in order. */
  layers: readonly LayerProfile[];
  /** What tensor parallelism has to divide into whole parts, and how many of each there are. */
  divisors: readonly Divisor[];
  embeddingBytes: number;
  /** 0 when tied: the embedding serves as head. */
  headBytes: number;
  /** Final norm and the like. */
  otherBytes: number;
  /** What whoever plans with it should know, in sentences. */
  notes?: readonly string[];
  /** Engines that read this family, but not with this configuration, and why: {BuiltIn: 'hidden_act: …'}. */
  unsupportedBy?: Readonly<Record<string, string>>;
}

export interface Quantization {
  /** Mxfp4: 4-bit floats with one 8-bit exponent per 32. Gguf: blocks with scales inside. */
  format: 'Affine' | 'Mxfp4' | 'Gguf' | 'Other';
  /** Of the packed value alone, 4 or 8 for instance. */
  bits: number;
  groupSize: number;
}

/** One decoder layer: what it weighs, what of that one token reads, what it caches, what it computes. */
export interface LayerProfile {
  mixer: 'FullAttention' | 'SlidingWindow' | 'LatentAttention' | 'Linear' | 'None';
  /** Bytes that tensor parallelism divides, routed experts left out: projections, dense MLP, shared experts. */
  shardedBytes: number;
  /** Bytes that every tensor rank holds whole: norms, router, latent projections. */
  replicatedBytes: number;
  /** Parameters that one token is multiplied with, routed experts left out. */
  activeParameters: number;
  /** Absent in layers with a dense MLP, or none. */
  experts?: RoutedExperts;
  cache: CacheProfile;
  /** Query heads × (width of a score + width of a value): 2 × this × context operations per token. */
  scoreElements: number;
  /** Elements of one query head; fused kernels of attention end at some width. Absent where there are no heads. */
  headWidth?: number;
  /** As `scoreElements`, of what each tensor rank scores for itself: sparse attention's indexer. */
  wholeScoreElements?: number;
  /** All-reduces of one token under tensor parallelism where it is not two: after the mixer, after the MLP. */
  exchanges?: number;
}

/** Routed experts of one layer; tensor parallelism slices each of them by width. */
export interface RoutedExperts {
  count: number;
  /** Experts that one token goes through. */
  perToken: number;
  /** One expert: gate, up and down. */
  bytesEach: number;
  parametersEach: number;
}

/** What a layer keeps for each sequence. */
export interface CacheProfile {
  /** Elements that each position adds: 2 × KV heads × head width; the latent's width; 0 where nothing grows. */
  elementsPerToken: number;
  /** Positions it keeps at most; absent: all. */
  windowTokens?: number;
  /** Constant in the context: the state of linear attention, at 16 bits unless the model says more. */
  stateBytes: number;
  /** Tensor ranks that it can be divided among: the KV heads; 1 for a latent, which every rank keeps whole. */
  shards: number;
}

/** For instance {reason: 'IndivisibleKVHeads', what: 'key-value heads', count: 8}: 8 must be a multiple of the ranks. */
export interface Divisor {
  reason:
    | 'IndivisibleHeads'
    | 'IndivisibleKVHeads'
    | 'IndivisibleIntermediateSize'
    | 'IndivisibleQuantizationGroups';
  what: string;
  count: number;
  /** Follows the count in the message: "of 64 inputs each". */
  detail?: string;
}
