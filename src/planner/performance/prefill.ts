import type { ChipFacts } from '../../catalogue/facts.ts';
import type { EnginePerformance } from '../../catalogue/performance-facts.ts';
import type { LayerRange } from '../partition.ts';
import { restSize } from '../shapes.ts';
import { activationBytes, allReducesOf, launchMs } from './decode.ts';
import { generationOf, launchFactor } from './generation.ts';
import { allReduceMilliseconds, hopMilliseconds } from './exchange.ts';
import { endOfCachedLayers, sumLayers } from './model-sums.ts';
import type { LayerSums } from './model-sums.ts';
import { chipsOf } from './option.ts';
import type { PerformanceOption, PerformanceStage } from './option.ts';

/**
 * Milliseconds to read a prompt, batch of rows after batch of rows: operations ÷ (rate × share), all weights
 * that a batch touches once, the launches, and the exchange, which for so many rows is bound by the wire.
 * Stages work on different batches at the same time, where the engine hands them on without waiting.
 */
export const prefillMs = (option: PerformanceOption, kernels: EnginePerformance): number => {
  const { engine, promptTokens } = option;
  const full = Math.floor(promptTokens / engine.batchRows);
  const rest = full === 0 ? Math.max(1, promptTokens) : promptTokens - full * engine.batchRows;
  const batch = full === 0 ? [] : stagesMs(option, kernels, engine.batchRows);
  const last = rest === 0 ? [] : stagesMs(option, kernels, rest);
  const inTurn = full * sumOf(batch) + sumOf(last);
  const { stageOverlap } = kernels.prefill;
  return stageOverlap === 0
    ? inTurn
    : stageOverlap * overlappedMs(batch, last, full) + (1 - stageOverlap) * inTurn;
};

/** The last full batch follows the others at the pace of the slowest stage; the rest of the prompt follows it. */
const overlappedMs = (batch: readonly number[], last: readonly number[], full: number): number => {
  if (full === 0) return sumOf(last);
  const before = (full - 1) * Math.max(...batch);
  if (last.length === 0) return before + sumOf(batch);
  // Of two that go through the same stages one after the other, some stage is where the second catches up.
  return (
    before +
    Math.max(...batch.map((_, at) => sumOf(batch.slice(0, at + 1)) + sumOf(last.slice(at))))
  );
};

const sumOf = (times: readonly number[]): number => times.reduce((sum, ms) => sum + ms, 0);

/** Of one batch, stage by stage, with what hands it on. */
const stagesMs = (
  option: PerformanceOption,
  kernels: EnginePerformance,
  rows: number,
): number[] => {
  const { model, stages, hop } = option;
  return stages.map((stage, index) => {
    const last = index === stages.length - 1;
    const handOver = last ? 0 : hopMilliseconds(hop, rows * model.hiddenSize * activationBytes);
    return stageBatchMs(option, kernels, { stage, rows, last }) + handOver;
  });
};

/** Milliseconds before the first batch. */
export const requestMs = (
  { model, tensorSize, stages }: PerformanceOption,
  { prefill }: EnginePerformance,
): number =>
  prefill.requestMilliseconds +
  (prefill.vocabularyMicroseconds * model.vocabSize) / 1e3 +
  prefill.rankMilliseconds * (tensorSize * stages.length - 1);

/**
 * Milliseconds that the first token after a pause comes later, while macOS wires the weights of the fullest rank
 * again; undefined for engines that keep them wired.
 */
export const wiringMs = (
  { model, engine, stages, tensorSize }: PerformanceOption,
  { prefill: { wiringMillisecondsPerGB } }: EnginePerformance,
): number | undefined => {
  if (wiringMillisecondsPerGB === undefined) return undefined;
  const load = { rows: 1, context: 0, cacheElementBytes: engine.kvElementBytes };
  const most = Math.max(
    ...stages.map(({ layers }) => sumLayers(model, layers, load).storedBytes / tensorSize),
  );
  const bytes = most + model.headBytes + model.embeddingBytes + model.otherBytes;
  return (wiringMillisecondsPerGB * bytes) / 1e9;
};

/** With the middle of the prompt before each row, which is what rows see on average. */
const stageBatchMs = (
  option: PerformanceOption,
  kernels: EnginePerformance,
  { stage, rows, last }: { stage: PerformanceStage; rows: number; last: boolean },
): number => {
  const { model, engine, performance, tensorSize, expertSize, link, promptTokens } = option;
  const rest = restSize({ tensorSize, ...(expertSize && { expertSize }) }, engine);
  const load = {
    rows,
    context: promptTokens / 2,
    cacheElementBytes: engine.kvElementBytes,
  };
  const sums = sumLayers(model, computedLayers(option, kernels, stage), load);
  const slowest = Math.max(
    ...chipsOf(stage).map(
      (chip) =>
        computeMs(sums, { chip, kernels, rows, tensorSize, rest }) +
        readMs(sums, { chip, kernels, tensorSize, rest }) +
        launchMs(sums, { chip, kernels: kernels.decode, option, last }) +
        kernels.prefill.batchMilliseconds * launchFactor(chip, performance),
    ),
  );
  const bytes = rows * model.hiddenSize * activationBytes;
  return slowest + allReducesOf(option, sums) * allReduceMilliseconds(link, tensorSize, bytes);
};

const computedLayers = (
  { model }: PerformanceOption,
  { prefill: { skipsUncachedLayers } }: EnginePerformance,
  { layers: { firstLayer, endLayer } }: PerformanceStage,
): LayerRange => ({
  firstLayer,
  endLayer: skipsUncachedLayers
    ? Math.max(firstLayer, Math.min(endLayer, endOfCachedLayers(model)))
    : endLayer,
});

const computeMs = (
  sums: LayerSums,
  at: {
    chip: ChipFacts;
    kernels: EnginePerformance;
    rows: number;
    tensorSize: number;
    /** Ranks that share what is not an expert. */
    rest: number;
  },
): number => {
  const { chip, kernels, rows, tensorSize, rest } = at;
  const { computeShare, matmulUnitFactor, bfloat16Share } = kernels.prefill;
  const { matrices, attention } = chip.hasMatmulUnits ? matmulUnitFactor : noUnits;
  const native = generationOf(chip) < firstWithBfloat16 ? bfloat16Share : 1;
  const halfEmpty = (kernels.prefill.expertTileRows / 2) * sums.expertParametersByRows;
  const products =
    (sums.denseParameters / (computeShare.dense * rest) +
      (sums.expertParameters + halfEmpty) / (computeShare.experts * tensorSize)) /
    matrices;
  const scores =
    (sums.scoreProducts / (computeShare.attention * rest) +
      sums.wideScoreProducts / (computeShare.wideAttention * rest) +
      (sums.latentScoreProducts / rest + sums.wholeScoreProducts) / computeShare.latentAttention) /
    attention;
  return (2 * rows * (products / native + scores)) / (chip.fp16TFLOPS * 1e9);
};

const noUnits = { matrices: 1, attention: 1 };
/** M3: Metal emulates bfloat16 on the GPUs before it. */
const firstWithBfloat16 = 3;

const readMs = (
  sums: LayerSums,
  {
    chip,
    kernels,
    tensorSize,
    rest,
  }: { chip: ChipFacts; kernels: EnginePerformance; tensorSize: number; rest: number },
): number => {
  const { oneDie, twoDies } = kernels.decode.bandwidthShare;
  const share = chip.dies > 1 ? twoDies : oneDie;
  const bytes = sums.shardedBytes / rest + sums.expertBytes / tensorSize + sums.replicatedBytes;
  return bytes / (chip.memoryBandwidthGBps * 1e6 * share);
};
