import type { EngineFacts } from './facts.ts';

const families: readonly string[] = ['llama', 'qwen2'];

/**
 * Powers of two up to eight: the engine sums row-parallel products in a fixed tree that every tensor size
 * continues, so that all of them give the same bits.
 */
export const builtInEngine = {
  name: 'BuiltIn',
  version: '',
  runsOn: 'CPU',
  architectures: families,
  formats: ['Float', 'Affine'],
  tensor: {
    architectures: families,
    sizes: [1, 2, 4, 8],
    replicates: ['Embedding'],
    interconnects: ['TCP'],
  },
  pipeline: { architectures: families, uneven: true, interconnects: ['TCP'] },
  expert: false,
  batches: true,
  kvElementBytes: 4,
  batchRows: 128,
  processBytes: 128 * 2 ** 20,
  source: 'native/engine/model.h, llama.cpp, partition.cpp',
} as const satisfies EngineFacts;
