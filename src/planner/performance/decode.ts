import type { ChipFacts } from '../../catalogue/facts.ts';
import type {
  DecodePerformance,
  EnginePerformance,
  PerformanceFacts,
} from '../../catalogue/performance-facts.ts';
import { allReduceMilliseconds, hopMilliseconds } from './exchange.ts';
import { expectedMaximum } from './experts.ts';
import { launchFactor } from './generation.ts';
import { restSize } from '../shapes.ts';
import { sumLayers } from './model-sums.ts';
import type { LayerSums, Load } from './model-sums.ts';
import { chipsOf } from './option.ts';
import type { PerformanceOption, PerformanceStage } from './option.ts';

/** Milliseconds of one step of decoding, which gives each sequence one token. */
export interface StepTime {
  weightsMs: number;
  cacheMs: number;
  /** Launches, and what a batch computes beyond one sequence. */
  layersMs: number;
  exchangeMs: number;
}

/**
 * One step for `rows` sequences with `context` positions each:
 *
 *     weights ÷ (bandwidth × share) + weights × operations ÷ rate
 *       + layers × launch + cache reads ÷ bandwidth + all-reduces and hops
 *
 * summed over stages, each as slow as its slowest rank. Two terms for the weights, because the same chip shows
 * 0.43 of its bandwidth for a small quantised model and 0.81 for a large one of 16 bits.
 */
export const stepTime = (
  option: PerformanceOption,
  kernels: EnginePerformance,
  { rows, context }: { rows: number; context: number },
): StepTime => {
  const { model, engine, stages, hop } = option;
  const load = { rows, context, cacheElementBytes: engine.kvElementBytes };
  const total = { weightsMs: 0, cacheMs: 0, layersMs: 0, exchangeMs: 0 };
  for (const stage of stages) {
    const last = stage === stages.at(-1);
    const time = stageStep(option, kernels, { stage, load, last });
    total.weightsMs += time.weightsMs;
    total.cacheMs += time.cacheMs;
    total.layersMs += time.layersMs;
    total.exchangeMs += time.exchangeMs;
    if (!last) total.exchangeMs += hopMilliseconds(hop, rows * model.hiddenSize * activationBytes);
  }
  return total;
};

export const totalMs = ({ weightsMs, cacheMs, layersMs, exchangeMs }: StepTime): number =>
  weightsMs + cacheMs + layersMs + exchangeMs;

/** Engines for GPUs exchange 16 bits. */
export const activationBytes = 2;

const stageStep = (
  option: PerformanceOption,
  kernels: EnginePerformance,
  { stage, load, last }: { stage: PerformanceStage; load: Load; last: boolean },
): StepTime => {
  const { model, tensorSize, link } = option;
  const sums = sumLayers(model, stage.layers, load);
  const work = rankWork(option, sums, { rows: load.rows, last });
  let slowest: StepTime | undefined;
  for (const chip of chipsOf(stage)) {
    const time = rankStep(work, sums, { chip, kernels, option, rows: load.rows, last });
    if (!slowest || totalMs(time) > totalMs(slowest)) slowest = time;
  }
  if (!slowest) throw new RangeError('a stage has at least one rank');
  const bytes = load.rows * model.hiddenSize * activationBytes;
  const exchangeMs =
    allReducesOf(option, sums) *
    (allReduceMilliseconds(link, tensorSize, bytes) + synchronizationMs(option, kernels, stage));
  return { ...slowest, exchangeMs };
};

/** With whole experts and all else whole on each rank, only what the experts gave is summed. */
export const allReducesOf = (
  { tensorSize, expertSize, engine }: PerformanceOption,
  sums: LayerSums,
): number =>
  expertSize !== undefined && restSize({ tensorSize, expertSize }, engine) === 1
    ? sums.expertLayers
    : sums.allReduces;

/** Milliseconds that a token takes longer where ranks wait for events instead of spinning. */
export const waitingMs = (option: PerformanceOption, kernels: EnginePerformance): number => {
  const load = { rows: 1, context: 0, cacheElementBytes: option.engine.kvElementBytes };
  let total = 0;
  for (const stage of option.stages) {
    const sums = sumLayers(option.model, stage.layers, load);
    const each = synchronizationMs({ ...option, fastSynch: false }, kernels, stage);
    total += allReducesOf(option, sums) * each;
  }
  return total;
};

/** What each all-reduce takes longer where ranks wait for events instead of spinning: as slow as launches are. */
const synchronizationMs = (
  { tensorSize, fastSynch = true, performance }: PerformanceOption,
  { decode }: EnginePerformance,
  stage: PerformanceStage,
): number =>
  fastSynch || tensorSize < 2
    ? 0
    : Math.max(...chipsOf(stage).map((chip) => chipLaunchFactor(chip, decode, performance))) *
      (decode.synchronizationMicroseconds / 1e3);

/** How long launches take beside one M4 die. */
const chipLaunchFactor = (
  chip: ChipFacts,
  { twoDieFactor }: DecodePerformance,
  performance: PerformanceFacts,
): number => (chip.dies > 1 ? twoDieFactor : 1) * launchFactor(chip, performance);

interface RankWork {
  bytes: number;
  /** That one sequence is multiplied with; how many of them are experts'. */
  parameters: number;
  expertParameters: number;
  cacheBytes: number;
  sharedCacheBytes: number;
  latentCacheBytes: number;
}

/** What one rank of a stage reads and multiplies. */
const rankWork = (
  { model, engine, tensorSize, expertSize }: PerformanceOption,
  sums: LayerSums,
  { rows, last }: { rows: number; last: boolean },
): RankWork => {
  const headBytes = last ? model.headBytes || model.embeddingBytes : 0;
  const rest = restSize({ tensorSize, ...(expertSize && { expertSize }) }, engine);
  const headShare = engine.tensor?.replicates.includes('Head') ? 1 : rest;
  const expertShare = expertSize ? expectedMaximum(model, expertSize, rows) : 1 / tensorSize;
  const cut = (value: number) => value / rest;
  const denseBytes = sums.shardedBytes + sums.replicatedBytes;
  const bytes = cut(sums.shardedBytes) + sums.replicatedBytes;
  const denseShare = denseBytes === 0 ? 1 : bytes / denseBytes;
  const cutLatents = Math.min(sums.latentCacheBytes, sums.wholeCacheBytes);
  return {
    bytes: bytes + sums.expertBytes * expertShare + headBytes / headShare,
    parameters:
      sums.denseParameters * denseShare +
      sums.expertParameters * expertShare +
      (last ? (model.hiddenSize * model.vocabSize) / headShare : 0),
    expertParameters: sums.expertParameters * expertShare,
    cacheBytes: cut(sums.cacheBytes - sums.wholeCacheBytes) + sums.wholeCacheBytes - cutLatents,
    sharedCacheBytes: cut(sums.sharedCacheBytes),
    latentCacheBytes: cutLatents,
  };
};

const rankStep = (
  work: RankWork,
  sums: LayerSums,
  at: {
    chip: ChipFacts;
    kernels: EnginePerformance;
    option: PerformanceOption;
    rows: number;
    last: boolean;
  },
): StepTime => {
  const { chip, option, rows } = at;
  const kernels = at.kernels.decode;
  const bytesPerMs = chip.memoryBandwidthGBps * 1e6;
  const operationsPerMs = chip.fp16TFLOPS * 1e9;
  const { oneDie, twoDies } = kernels.bandwidthShare;
  const share = chip.dies > 1 ? twoDies : oneDie;
  const { float, quantized } = kernels.operationsPerWeight;
  const operations = option.model.quantization ? quantized : float;
  const { attention, sharingHead, latentAttention } = kernels.cacheReads;
  return {
    weightsMs: work.bytes / (bytesPerMs * share) + (operations * work.parameters) / operationsPerMs,
    cacheMs:
      (rows *
        (attention * work.cacheBytes +
          sharingHead * work.sharedCacheBytes +
          latentAttention * work.latentCacheBytes)) /
      bytesPerMs,
    layersMs: launchMs(sums, { ...at, kernels }) + furtherRowsMs(work, chip, at),
    exchangeMs: 0,
  };
};

/**
 * What a batch computes beyond one sequence: each further one as a product with a vector, until a product of
 * matrices, which fills tiles of 32 rows, is cheaper.
 */
const furtherRowsMs = (
  { parameters, expertParameters }: RankWork,
  { fp16TFLOPS, hasMatmulUnits }: ChipFacts,
  { kernels: { decode, prefill }, rows }: { kernels: EnginePerformance; rows: number },
): number => {
  const { dense, experts } = prefill.computeShare;
  const units = hasMatmulUnits ? prefill.matmulUnitFactor.matrices : 1;
  const asVectors = ((rows - 1) * parameters) / decode.batchShare;
  const weighted = (parameters - expertParameters) / dense + expertParameters / experts;
  const asMatrices = (Math.max(rows, tileRows) * weighted) / units;
  return (2 * Math.min(asVectors, asMatrices)) / (fp16TFLOPS * 1e9);
};

const tileRows = 32;

/** Time of kernel launches: none of it becomes shorter by dividing a layer among ranks. */
export const launchMs = (
  sums: LayerSums,
  {
    chip,
    kernels,
    option: { model, engine, performance },
    last,
  }: {
    chip: ChipFacts;
    kernels: DecodePerformance;
    option: PerformanceOption;
    last: boolean;
  },
): number => {
  const per = kernels.layerMicroseconds;
  const own = kernels.ownKernelMicroseconds?.[engine.name];
  const microseconds =
    sums.layers * per.base +
    sums.expertLayers * per.experts +
    sums.latentLayers * per.latentAttention +
    sums.linearLayers * (per.linearAttention + (own?.linearAttention ?? 0)) +
    sums.slidingLayers * per.slidingWindow;
  const factor = kernels.layerFactors[model.architecture] ?? 1;
  const once = last ? kernels.tokenMicroseconds : 0;
  return ((microseconds * factor + once) * chipLaunchFactor(chip, kernels, performance)) / 1e3;
};
