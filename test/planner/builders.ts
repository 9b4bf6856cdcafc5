import { builtInEngine } from '../../src/catalogue/engine-capabilities.ts';
import type { Catalogue } from '../../src/catalogue/facts.ts';
import type { LayerProfile, ModelProfile } from '../../src/catalogue/model-profile.ts';
import type { PlanInput, PlanNode } from '../../src/planner/types.ts';
import type { ModelDeploymentSpec } from '../../src/resources/types.ts';

export const GiB = 2 ** 30;

/** A deployment as it comes from the schema's defaults, with the given fields replaced. */
export const spec = (overrides: Partial<ModelDeploymentSpec> = {}): ModelDeploymentSpec => ({
  replicas: 1,
  model: { uri: 'file:///models/m', servedNames: ['m'] },
  runtime: {
    name: 'Auto',
    version: '',
    args: [],
    contextLength: 4096,
    maxConcurrentRequests: 4,
  },
  objective: 'SustainedThroughput',
  parallelism: { strategy: 'Auto' },
  interconnect: { mode: 'Auto', fallback: 'Allow' },
  placement: { nodeSelector: { matchLabels: {} }, tolerations: [], memoryHeadroom: '0' },
  degradation: { allow: ['FewerNodes', 'Pipeline', 'TCP'], minTokensPerSecond: 0 },
  priority: 0,
  preemptionPolicy: 'Never',
  strategy: {
    type: 'Recreate',
    rollingUpdate: { maxUnavailable: 1, maxSurge: 0, partition: 0 },
    onFailure: 'Hold',
  },
  dataPolicy: { egress: 'Deny' },
  restartPolicy: { maxGroupRestarts: 5, backoffSeconds: 10 },
  progressDeadlineSeconds: 600,
  minReadySeconds: 0,
  revisionHistoryLimit: 10,
  drainTimeoutSeconds: 60,
  paused: false,
  ...overrides,
});

/** A Mac mini M4 Pro 48 GB that reports, unless said otherwise. */
export const node = (name: string, overrides: Partial<PlanNode> = {}): PlanNode => ({
  name,
  labels: {},
  spec: {
    unschedulable: false,
    taints: [],
    linkPolicy: { allowRDMA: true, manageNetwork: 'Observe' },
    nodeLostToleranceSeconds: 40,
    links: [],
  },
  available: true,
  hostID: `host-${name}`,
  hardwareModel: 'Mac16,11',
  chip: 'M4 Pro',
  osVersion: '26.2',
  cpuCount: 12,
  memoryBytes: 48 * GiB,
  usedMemoryBytes: 0,
  engines: [{ name: 'BuiltIn', version: '0.1.0' }],
  links: [],
  ...overrides,
});

interface LlamaOptions extends Partial<Omit<ModelProfile, 'layers'>> {
  layers?: number;
  heads?: number;
  kvHeads?: number;
  intermediateSize?: number;
  groupSize?: number;
}

/** A Llama of `gib` GiB of weights in `layers` layers, 8 KV heads, 4 bits in groups of 64. */
export const profile = (
  gib: number,
  {
    layers = 32,
    heads = 64,
    kvHeads = 8,
    intermediateSize = 28672,
    groupSize = 64,
    ...overrides
  }: LlamaOptions = {},
): ModelProfile => {
  const embeddingBytes = 0.02 * gib * GiB;
  const hiddenSize = 8192;
  const headDim = 128;
  const layer: LayerProfile = {
    mixer: 'FullAttention',
    shardedBytes: Math.floor((gib * GiB - 2 * embeddingBytes) / layers),
    replicatedBytes: 32768,
    activeParameters: ((2 * heads + 2 * kvHeads) * headDim + 3 * intermediateSize) * hiddenSize,
    cache: { elementsPerToken: 2 * kvHeads * headDim, stateBytes: 0, shards: kvHeads },
    scoreElements: 2 * heads * headDim,
  };
  return {
    uri: 'file:///models/m',
    revision: '0',
    weightsPresent: true,
    architecture: 'llama',
    basis: 'Architecture',
    hiddenSize,
    vocabSize: 128256,
    tiedEmbeddings: false,
    maxPositions: 131072,
    quantization: { format: 'Affine', bits: 4, groupSize },
    totalBytes: gib * GiB,
    layers: Array.from({ length: layers }, () => layer),
    divisors: [
      { reason: 'IndivisibleHeads', what: 'attention heads', count: heads },
      { reason: 'IndivisibleKVHeads', what: 'key-value heads', count: kvHeads },
      {
        reason: 'IndivisibleIntermediateSize',
        what: 'columns of the MLP',
        count: intermediateSize,
      },
      {
        reason: 'IndivisibleQuantizationGroups',
        what: 'quantisation groups of the MLP down projection',
        count: intermediateSize % groupSize === 0 ? intermediateSize / groupSize : 1,
        detail: `of ${groupSize} inputs each`,
      },
    ],
    embeddingBytes: Math.floor(embeddingBytes),
    headBytes: Math.floor(embeddingBytes),
    otherBytes: 16384,
    ...overrides,
  };
};

/** Knows no machines, so that nothing is predicted. */
export const builtInOnly: Catalogue = {
  chips: [],
  machines: [],
  links: [],
  engines: [builtInEngine],
  performance: {
    engines: [],
    generations: [],
    costs: { usdPerKWh: 0.17, depreciationYears: 3, wattsPerGPUCore: 2.7, source: 'a test' },
  },
};

export const input = (
  model: ModelProfile,
  nodes: PlanNode[],
  overrides: Partial<ModelDeploymentSpec> = {},
): PlanInput => ({
  deployment: { namespace: 'default', name: 'm', spec: spec(overrides) },
  model,
  nodes,
  catalogue: builtInOnly,
});
