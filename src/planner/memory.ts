import type { EngineCapability } from '../catalogue/engine-capabilities.ts';
import type { ModelProfile } from '../catalogue/model-profile.ts';
import type { ModelDeploymentSpec } from '../resources/types.ts';
import type { LayerRange } from './partition.ts';
import type { Shape } from './shapes.ts';
import type { MemoryBreakdown } from './types.ts';

/** A rank is a Node process with tokenizer, stacks and socket buffers, before any weight is mapped. */
const processBytes = 128 * 2 ** 20;
const activationBytes = 4;

export interface Demand {
  model: ModelProfile;
  engine: EngineCapability;
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
  const shardedWeightsBytes = Math.ceil(
    (sum(model.layerShardedBytes, firstLayer, endLayer) + headBytes) / tensorSize,
  );
  const replicatedWeightsBytes =
    sum(model.layerReplicatedBytes, firstLayer, endLayer) +
    (isFirst ? model.embeddingBytes : 0) +
    (isLast ? model.otherBytes : 0);
  const kvCacheBytes =
    contextLength *
    maxConcurrentRequests *
    Math.ceil(model.kvHeads / tensorSize) *
    model.headDim *
    2 *
    (endLayer - firstLayer) *
    engine.kvElementBytes;
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

/** Residual stream, its normalised copy and the partial sums that travel; queries, keys, values; gate and up. */
const activations = (model: ModelProfile, tensorSize: number, rows: number): number => {
  const whole = 4 * model.hiddenSize;
  const divided =
    (2 * model.heads + 2 * model.kvHeads) * model.headDim + 2 * model.intermediateSize;
  return rows * (whole + Math.ceil(divided / tensorSize)) * activationBytes;
};

const sum = (values: readonly number[], first: number, end: number): number =>
  values.slice(first, end).reduce((total, value) => total + value, 0);
