import type { EngineFacts } from '../catalogue/facts.ts';
import type { CacheProfile, LayerProfile, ModelProfile } from '../catalogue/model-profile.ts';
import type { ModelDeploymentSpec } from '../resources/types.ts';
import type { LayerRange } from './partition.ts';
import type { Shape } from './shapes.ts';
import type { MemoryBreakdown } from './types.ts';

/** A rank is a Node process with tokenizer, stacks and socket buffers, before any weight is mapped. */
const processBytes = 128 * 2 ** 20;
const activationBytes = 4;

export interface Demand {
  model: ModelProfile;
  engine: EngineFacts;
  contextLength: number;
  maxConcurrentRequests: number;
}

/** Positions that can be used: what was asked for, or what the model has if that is less. */
export const contextLengthOf = (spec: ModelDeploymentSpec, model: ModelProfile): number =>
  Math.min(spec.runtime.contextLength, model.maxPositions);

/**
 * Bytes of any rank of `stage`: weights that tensor parallelism divides and weights that every rank holds
 * (norms; the embedding on the first stage), the KV cache at full load, and an estimate of the workspace.
 * The head is cut by rows of the vocabulary and lies on the last stage; a tied head is a packed copy of the
 * embedding's rows.
 */
export const rankMemory = (
  { model, engine, contextLength, maxConcurrentRequests }: Demand,
  { tensorSize, pipelineSize }: Shape,
  stage: number,
  { firstLayer, endLayer }: LayerRange,
): MemoryBreakdown => {
  const isFirst = stage === 0;
  const isLast = stage === pipelineSize - 1;
  const wholeHeadBytes = model.tiedEmbeddings ? model.embeddingBytes : model.headBytes;
  const headBytes = isLast ? wholeHeadBytes : 0;
  const layers = model.layers.slice(firstLayer, endLayer);
  const shardedWeightsBytes = Math.ceil((sum(layers, shardedBytesOf) + headBytes) / tensorSize);
  const replicatedWeightsBytes =
    sum(layers, ({ replicatedBytes }) => replicatedBytes) +
    (isFirst ? model.embeddingBytes : 0) +
    (isLast ? model.otherBytes : 0);
  const kvCacheBytes =
    maxConcurrentRequests *
    sum(layers, ({ cache }) => cacheBytes(cache, tensorSize, contextLength, engine.kvElementBytes));
  const workspaceBytes =
    processBytes +
    activations(model, tensorSize, engine.batchRows) +
    (isLast ? maxConcurrentRequests * model.vocabSize * activationBytes : 0);
  return {
    shardedWeightsBytes,
    replicatedWeightsBytes,
    kvCacheBytes,
    workspaceBytes,
    totalBytes: shardedWeightsBytes + replicatedWeightsBytes + kvCacheBytes + workspaceBytes,
  };
};

/** Routed experts are sliced by width, each of them. */
const shardedBytesOf = ({ shardedBytes, experts }: LayerProfile): number =>
  shardedBytes + (experts ? experts.count * experts.bytesEach : 0);

/** Of one sequence: a cache that has fewer shards than ranks is kept in whole shards. */
const cacheBytes = (
  { elementsPerToken, windowTokens = Infinity, stateBytes, shards }: CacheProfile,
  tensorSize: number,
  contextLength: number,
  elementBytes: number,
): number => {
  const positions = Math.min(contextLength, windowTokens);
  const wholeBytes = positions * elementsPerToken * elementBytes + stateBytes;
  return (wholeBytes * Math.ceil(shards / tensorSize)) / shards;
};

/**
 * Residual stream, its normalised copy and the partial sums that travel; then queries, keys, values, gates:
 * all matrices have the hidden size on one side, so their parameters ÷ hidden size is the sum of the others.
 */
const activations = (model: ModelProfile, tensorSize: number, rows: number): number => {
  const whole = 4 * model.hiddenSize;
  const widest = Math.max(...model.layers.map(activeParametersOf));
  const divided = Math.ceil(widest / model.hiddenSize);
  return rows * (whole + Math.ceil(divided / tensorSize)) * activationBytes;
};

const activeParametersOf = ({ activeParameters, experts }: LayerProfile): number =>
  activeParameters + (experts ? experts.perToken * experts.parametersEach : 0);

const sum = <T>(values: readonly T[], bytesOf: (value: T) => number): number =>
  values.reduce((total, value) => total + bytesOf(value), 0);
