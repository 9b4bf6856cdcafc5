import type { EngineFacts } from '../catalogue/facts.ts';
import type { CacheProfile, LayerProfile, ModelProfile } from '../catalogue/model-profile.ts';
import type { ModelDeploymentSpec } from '../resources/types.ts';
import type { LayerRange } from './partition.ts';
import { restSize } from './shapes.ts';
import type { Shape } from './shapes.ts';
import type { MemoryBreakdown } from './types.ts';

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
 * (norms, routers, latent projections; the embedding, and the head where the engine keeps it whole), the cache at
 * full load, and an estimate of the workspace. With whole experts, of the rank that has most of them.
 */
export const rankMemory = (
  { model, engine, contextLength, maxConcurrentRequests }: Demand,
  shape: Shape,
  stage: number,
  { firstLayer, endLayer }: LayerRange,
): MemoryBreakdown => {
  const { pipelineSize, expertSize } = shape;
  const tensorSize = restSize(shape, engine);
  const isLast = stage === pipelineSize - 1;
  const ends = endBytes(model, engine, { isFirst: stage === 0, isLast });
  let [expertBytes, shardedBytes, replicatedBytes, cachedBytes] = [0, 0, 0, 0];
  for (let index = firstLayer; index < endLayer; index += 1) {
    const layer = model.layers[index];
    if (!layer) continue;
    const { experts, cache } = layer;
    if (experts) {
      const share = expertShare(experts.count, expertSize ?? tensorSize, expertSize);
      expertBytes += share * experts.bytesEach;
    }
    shardedBytes += layer.shardedBytes;
    replicatedBytes += layer.replicatedBytes;
    cachedBytes += cacheBytes(cache, tensorSize, contextLength, engine.kvElementBytes);
  }
  const restBytes = shardedBytes + ends.sharded;
  const shardedWeightsBytes = Math.ceil(expertBytes + restBytes / tensorSize);
  const replicatedWeightsBytes = replicatedBytes + ends.replicated;
  const kvCacheBytes = maxConcurrentRequests * cachedBytes;
  const workspaceBytes =
    engine.processBytes +
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

/**
 * Embedding on the first stage, head and final norm on the last; an engine that does not pass tokens between
 * stages has both on each. Divided by rows of the vocabulary, a tied head is a packed copy of the embedding;
 * kept whole, it is the embedding itself.
 */
const endBytes = (
  { tiedEmbeddings, embeddingBytes, headBytes, otherBytes }: ModelProfile,
  { tensor, pipeline }: EngineFacts,
  { isFirst, isLast }: { isFirst: boolean; isLast: boolean },
): { sharded: number; replicated: number } => {
  const everywhere = pipeline?.replicates ?? [];
  const hasEmbedding = isFirst || everywhere.includes('Embedding');
  const hasHead = isLast || everywhere.includes('Head');
  const embedding = hasEmbedding ? embeddingBytes : 0;
  const other = hasHead ? otherBytes : 0;
  const wholeHeadBytes = tiedEmbeddings ? embeddingBytes : headBytes;
  const head = hasHead ? wholeHeadBytes : 0;
  const isDivided = tensor !== undefined && !tensor.replicates.includes('Head');
  if (isDivided) return { sharded: head, replicated: embedding + other };
  const ends = tiedEmbeddings ? Math.max(embedding, head) : embedding + head;
  return { sharded: 0, replicated: ends + other };
};

/** Of `count` experts: whole ones on the fullest of `nodes`, or a slice of each. */
const expertShare = (count: number, nodes: number, expertSize: number | undefined): number =>
  expertSize === undefined ? count / nodes : Math.ceil(count / expertSize);

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
  const divided = Math.ceil(widestOf(model) / model.hiddenSize);
  return rows * (whole + Math.ceil(divided / tensorSize)) * activationBytes;
};

/** Most parameters that a token goes through in one layer; search asks very often. */
const widestOf = (model: ModelProfile): number => {
  const known = widest.get(model);
  if (known !== undefined) return known;
  const most = Math.max(...model.layers.map(activeParametersOf));
  widest.set(model, most);
  return most;
};

const widest = new WeakMap<ModelProfile, number>();

const activeParametersOf = ({ activeParameters, experts }: LayerProfile): number =>
  activeParameters + (experts ? experts.perToken * experts.parametersEach : 0);
