import type { LayerProfile, ModelProfile } from '../../catalogue/model-profile.ts';
import type { LayerRange } from '../partition.ts';

/** What a run of layers adds up to. Bytes and parameters are those that `rows` tokens touch. */
export interface LayerSums {
  shardedBytes: number;
  replicatedBytes: number;
  /** Of all weights, experts that nobody goes through included. */
  storedBytes: number;
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
  /** Bytes that query heads read which share a key-value head with an earlier one. */
  sharedCacheBytes: number;
  /**
   * Pairs of an element of a query and of a position, for one token: 2 operations each. Of heads that fused kernels
   * take, of wider ones, and of what every tensor rank scores for itself.
   */
  scoreProducts: number;
  wideScoreProducts: number;
  latentScoreProducts: number;
  wholeScoreProducts: number;
  /** Experts' parameters ÷ the rows of each expert that is hit: what half an empty row more costs, doubled. */
  expertParametersByRows: number;
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

/** Sums of the layers of a range. They are kept for as long as the model is, as search asks for few ranges often. */
export const sumLayers = (model: ModelProfile, range: LayerRange, load: Load): LayerSums => {
  const { prefix, ranges } = sumsAt(model, load);
  const key = range.firstLayer * prefix.length + range.endLayer;
  const known = ranges.get(key);
  if (known) return known;
  const [from, to] = [prefix[range.firstLayer], prefix[range.endLayer]];
  if (!from || !to) {
    const { firstLayer, endLayer } = range;
    throw new RangeError(`layers ${firstLayer} to ${endLayer} of ${model.layers.length}`);
  }
  const sums = combine(to, from, -1);
  if (ranges.size >= maxKept) ranges.clear();
  ranges.set(key, sums);
  return sums;
};

/** The end of the layers that cache anything of their own: those after it share the cache of earlier ones. */
export const endOfCachedLayers = ({ layers }: ModelProfile): number =>
  1 + layers.findLastIndex(({ cache }) => cache.elementsPerToken + cache.stateBytes > 0);

/** Different experts that `rows` tokens hit, each of them `perToken` of `count` at random. */
export const expectedExperts = (count: number, perToken: number, rows: number): number =>
  count * (1 - (1 - perToken / count) ** rows);

interface SumsAtLoad extends Load {
  prefix: LayerSums[];
  ranges: Map<number, LayerSums>;
}

const kept = new WeakMap<ModelProfile, SumsAtLoad[]>();
/** Callers ask for a handful; a caller with ever new lengths must not fill the memory. */
const maxKept = 64;

const sumsAt = (model: ModelProfile, load: Load): SumsAtLoad => {
  const entries = kept.get(model) ?? [];
  const known = entries.find(
    ({ rows, context, cacheElementBytes }) =>
      rows === load.rows &&
      context === load.context &&
      cacheElementBytes === load.cacheElementBytes,
  );
  if (known) return known;
  let sum = nothing;
  const prefix = [
    sum,
    ...model.layers.map((layer) => (sum = combine(sum, ofLayer(layer, load), 1))),
  ];
  const entry = { ...load, prefix, ranges: new Map<number, LayerSums>() };
  kept.set(model, [...entries.slice(1 - maxKept), entry]);
  return entry;
};

const ofLayer = (layer: LayerProfile, { rows, context, cacheElementBytes }: Load): LayerSums => {
  const { mixer, experts, cache } = layer;
  const positions = Math.min(context, cache.windowTokens ?? context);
  // The state of linear attention is read and written for each token.
  const cacheBytes = positions * cache.elementsPerToken * cacheElementBytes + 2 * cache.stateBytes;
  const latent = mixer === 'LatentAttention';
  const shares = layer.scoreElements / Math.max(1, cache.elementsPerToken) - 1;
  const isShared = (mixer === 'FullAttention' || mixer === 'SlidingWindow') && shares > 0;
  const isWide = (layer.headWidth ?? 0) > widestFusedHead;
  const scoreProducts = positions * layer.scoreElements;
  const hit = experts ? expectedExperts(experts.count, experts.perToken, rows) : 0;
  const expertParameters = experts ? experts.perToken * experts.parametersEach : 0;
  return {
    shardedBytes: layer.shardedBytes,
    replicatedBytes: layer.replicatedBytes,
    storedBytes:
      layer.shardedBytes +
      layer.replicatedBytes +
      (experts ? experts.count * experts.bytesEach : 0),
    expertBytes: experts ? hit * experts.bytesEach : 0,
    denseParameters: layer.activeParameters,
    expertParameters,
    expertParametersByRows: experts ? (expertParameters * hit) / (rows * experts.perToken) : 0,
    cacheBytes,
    latentCacheBytes: latent ? cacheBytes : 0,
    wholeCacheBytes: cache.shards === 1 ? cacheBytes : 0,
    sharedCacheBytes: isShared ? cacheBytes * shares : 0,
    scoreProducts: isWide || latent ? 0 : scoreProducts,
    wideScoreProducts: isWide && !latent ? scoreProducts : 0,
    latentScoreProducts: latent ? scoreProducts : 0,
    wholeScoreProducts: positions * (layer.wholeScoreElements ?? 0),
    layers: 1,
    expertLayers: experts ? 1 : 0,
    latentLayers: latent ? 1 : 0,
    linearLayers: mixer === 'Linear' ? 1 : 0,
    slidingLayers: mixer === 'SlidingWindow' ? 1 : 0,
    allReduces: layer.exchanges ?? 2,
  };
};

/** Metal kernels of fused attention exist for heads of up to 128 (mlx, llama.cpp's flash attention is tuned for them). */
const widestFusedHead = 128;

const nothing: LayerSums = {
  shardedBytes: 0,
  replicatedBytes: 0,
  storedBytes: 0,
  expertBytes: 0,
  denseParameters: 0,
  expertParameters: 0,
  expertParametersByRows: 0,
  cacheBytes: 0,
  latentCacheBytes: 0,
  wholeCacheBytes: 0,
  sharedCacheBytes: 0,
  scoreProducts: 0,
  wideScoreProducts: 0,
  latentScoreProducts: 0,
  wholeScoreProducts: 0,
  layers: 0,
  expertLayers: 0,
  latentLayers: 0,
  linearLayers: 0,
  slidingLayers: 0,
  allReduces: 0,
};

/** Written out, for it is done for each layer of each model at each load. */
const combine = (a: LayerSums, b: LayerSums, sign: 1 | -1): LayerSums => ({
  shardedBytes: a.shardedBytes + sign * b.shardedBytes,
  replicatedBytes: a.replicatedBytes + sign * b.replicatedBytes,
  storedBytes: a.storedBytes + sign * b.storedBytes,
  expertBytes: a.expertBytes + sign * b.expertBytes,
  denseParameters: a.denseParameters + sign * b.denseParameters,
  expertParameters: a.expertParameters + sign * b.expertParameters,
  expertParametersByRows: a.expertParametersByRows + sign * b.expertParametersByRows,
  cacheBytes: a.cacheBytes + sign * b.cacheBytes,
  latentCacheBytes: a.latentCacheBytes + sign * b.latentCacheBytes,
  wholeCacheBytes: a.wholeCacheBytes + sign * b.wholeCacheBytes,
  sharedCacheBytes: a.sharedCacheBytes + sign * b.sharedCacheBytes,
  scoreProducts: a.scoreProducts + sign * b.scoreProducts,
  wideScoreProducts: a.wideScoreProducts + sign * b.wideScoreProducts,
  latentScoreProducts: a.latentScoreProducts + sign * b.latentScoreProducts,
  wholeScoreProducts: a.wholeScoreProducts + sign * b.wholeScoreProducts,
  layers: a.layers + sign * b.layers,
  expertLayers: a.expertLayers + sign * b.expertLayers,
  latentLayers: a.latentLayers + sign * b.latentLayers,
  linearLayers: a.linearLayers + sign * b.linearLayers,
  slidingLayers: a.slidingLayers + sign * b.slidingLayers,
  allReduces: a.allReduces + sign * b.allReduces,
});
