/** What an engine can do, as data: every limit that planning must respect, and where it comes from. */
export interface EngineCapability {
  name: string;
  /** config.json's model_type of the families that it can run. */
  architectures: readonly string[];
  tensorSizes: readonly number[];
  interconnects: readonly ('TCP' | 'RDMA')[];
  /** Bytes of one element of the KV cache. */
  kvElementBytes: number;
  /** Most tokens that go through the layers at once. */
  batchRows: number;
  source: string;
}

/**
 * Powers of two up to eight: the engine sums row-parallel products in a fixed tree that every tensor size
 * continues, so that all of them give the same bits.
 */
export const builtInEngine: EngineCapability = {
  name: 'BuiltIn',
  architectures: ['llama', 'qwen2'],
  tensorSizes: [1, 2, 4, 8],
  interconnects: ['TCP'],
  kvElementBytes: 4,
  batchRows: 128,
  source: 'native/engine/model.h, llama.cpp, partition.cpp',
};
