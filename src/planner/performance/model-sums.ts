import type { LayerProfile, ModelProfile } from '../../catalogue/model-profile.ts';
import type { LayerRange } from '../partition.ts';

/** What a run of layers adds up to. Bytes and parameters are those that `rows` tokens touch. */
export interface LayerSums {
  shardedBytes: number;
  replicatedBytes: number;
  /** Of the experts that any of the rows goes through. */
  expertBytes: number;
  /** Parameters that one token is multiplied with: those that all rows share, and experts'. */
  denseParameters: number;
  expertParameters: number;
  /** Bytes of cache of one sequence, and how many of them are latents. */
  cacheBytes: number;
  latentCacheBytes: number;
  /** Bytes of cache that every tensor rank reads whole; part of `cacheBytes`. */
  wholeCacheBytes: number;
  /** Pairs of an element of a query and of a position, for one token: 2 operations each. */
  scoreProducts: number;
  layers: number;
  expertLayers: number;
  latentLayers: number;
  linearLayers: number;
  slidingLayers: number;
  /** Sums over ranks under tensor parallelism: after the mixer, after the MLP. */
  allReduces: number;
}

/** At which load a layer is looked at. */
export interface Load {
  /** Tokens that go through the layers together. */
  rows: number;
  /** Positions in the cache. */
  context: number;
  cacheElementBytes: number;
}

/** Sums of the layers of a range, from prefix sums that are kept for as long as the model is. */
export const sumLayers = (
  model: ModelProfile,
  { firstLayer, endLayer }: LayerRange,
  load: Load,
): LayerSums => {
  const prefix = prefixSums(model, load);
  const [from, to] = [prefix[firstLayer], prefix[endLayer]];
  if (!from || !to)
    throw new RangeError(`layers ${firstLayer} to ${endLayer} of ${model.layers.length}`);
  return combine(to, from, -1);
};

/** Different experts that `rows` tokens hit, each of them `perToken` of `count` at random. */
export const expectedExperts = (count: number, perToken: number, rows: number): number =>
  count * (1 - (1 - perToken / count) ** rows);

const kept = new WeakMap<ModelProfile, Map<string, LayerSums[]>>();
/** Callers ask for a handful; a caller with ever new lengths must not fill the memory. */
const maxKept = 64;

const prefixSums = (model: ModelProfile, load: Load): LayerSums[] => {
  const byLoad = kept.get(model) ?? new Map<string, LayerSums[]>();
  kept.set(model, byLoad);
  const key = `${load.rows} ${load.context} ${load.cacheElementBytes}`;
  const known = byLoad.get(key);
  if (known) return known;
  let sum = nothing;
  const prefix = [
    sum,
    ...model.layers.map((layer) => (sum = combine(sum, ofLayer(layer, load), 1))),
  ];
  if (byLoad.size >= maxKept) byLoad.clear();
  byLoad.set(key, prefix);
  return prefix;
};

const ofLayer = (layer: LayerProfile, { rows, context, cacheElementBytes }: Load): LayerSums => {
  const { mixer, experts, cache } = layer;
  const positions = Math.min(context, cache.windowTokens ?? context);
  // The state of linear attention is read and written for each token.
  const cacheBytes = positions * cache.elementsPerToken * cacheElementBytes + 2 * cache.stateBytes;
  const latent = mixer === 'LatentAttention';
  return {
    shardedBytes: layer.shardedBytes,
    replicatedBytes: layer.replicatedBytes,
    expertBytes: experts
      ? expectedExperts(experts.count, experts.perToken, rows) * experts.bytesEach
      : 0,
    denseParameters: layer.activeParameters,
    expertParameters: experts ? experts.perToken * experts.parametersEach : 0,
    cacheBytes,
    latentCacheBytes: latent ? cacheBytes : 0,
    wholeCacheBytes: cache.shards === 1 ? cacheBytes : 0,
    scoreProducts: positions * layer.scoreElements,
    layers: 1,
    expertLayers: experts ? 1 : 0,
    latentLayers: latent ? 1 : 0,
    linearLayers: mixer === 'Linear' ? 1 : 0,
    slidingLayers: mixer === 'SlidingWindow' ? 1 : 0,
    allReduces: mixer === 'None' ? 1 : 2,
  };
};

const nothing: LayerSums = {
  shardedBytes: 0,
  replicatedBytes: 0,
  expertBytes: 0,
  denseParameters: 0,
  expertParameters: 0,
  cacheBytes: 0,
  latentCacheBytes: 0,
  wholeCacheBytes: 0,
  scoreProducts: 0,
  layers: 0,
  expertLayers: 0,
  latentLayers: 0,
  linearLayers: 0,
  slidingLayers: 0,
  allReduces: 0,
};
const keys = Object.keys(nothing) as (keyof LayerSums)[];

const combine = (a: LayerSums, b: LayerSums, sign: 1 | -1): LayerSums => {
  const sum = { ...a };
  for (const key of keys) sum[key] += sign * b[key];
  return sum;
};
