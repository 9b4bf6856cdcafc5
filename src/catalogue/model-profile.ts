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
  /** config.json's model_type: "llama", "qwen2", … */
  architecture: string;
  layers: number;
  hiddenSize: number;
  intermediateSize: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  vocabSize: number;
  tiedEmbeddings: boolean;
  maxPositions: number;
  /** Absent for models that are not quantised. */
  quantization?: { bits: number; groupSize: number };
  /** Bytes of all tensors. */
  totalBytes: number;
  /** Bytes of one decoder layer that tensor parallelism divides, and that it does not (norms). */
  layerShardedBytes: number[];
  layerReplicatedBytes: number[];
  embeddingBytes: number;
  /** 0 when tied: the embedding serves as head. */
  headBytes: number;
  /** Final norm and the like. */
  otherBytes: number;
}
