import type { ChipFacts } from '../../catalogue/facts.ts';
import type { EnginePerformance } from '../../catalogue/performance-facts.ts';
import { activationBytes, launchMs } from './decode.ts';
import { generationOf, launchFactor } from './generation.ts';
import { allReduceMilliseconds, hopMilliseconds } from './exchange.ts';
import { sumLayers } from './model-sums.ts';
import type { LayerSums } from './model-sums.ts';
import type { PerformanceOption, PerformanceStage } from './option.ts';

/**
 * Milliseconds to read a prompt, batch of rows after batch of rows: operations ÷ (rate × share), all weights
 * that a batch touches once, the launches, and the exchange, which for so many rows is bound by the wire.
 * Stages work on different batches at the same time, in part.
 */
export const prefillMs = (option: PerformanceOption, kernels: EnginePerformance): number => {
  const { model, engine, stages, hop, promptTokens } = option;
  let first = 0;
  let slowest = 0;
  const batches = Math.max(1, Math.ceil(promptTokens / engine.batchRows));
  const rows = Math.max(1, promptTokens / batches);
  for (const [index, stage] of stages.entries()) {
    const last = index === stages.length - 1;
    const ms = stageBatchMs(option, kernels, { stage, rows, last });
    const handOver = last ? 0 : hopMilliseconds(hop, rows * model.hiddenSize * activationBytes);
    first += ms + handOver;
    slowest = Math.max(slowest, ms + handOver);
  }
  return first + (batches - 1) * (slowest + alone * (first - slowest));
};

/**
 * Share of the other stages' time that a further batch waits for: three stages read 1.6 times as fast as one, not
 * three times (ds4 pull request 715: 711 tokens a second, beside 410 to 490).
 */
const alone = 0.45;

/** Milliseconds before the first batch. */
export const requestMs = (
  { model, tensorSize, stages }: PerformanceOption,
  { prefill }: EnginePerformance,
): number =>
  prefill.requestMilliseconds +
  (prefill.vocabularyMicroseconds * model.vocabSize) / 1e3 +
  prefill.rankMilliseconds * (tensorSize * stages.length - 1);

/** With the middle of the prompt before each row, which is what rows see on average. */
const stageBatchMs = (
  option: PerformanceOption,
  kernels: EnginePerformance,
  { stage, rows, last }: { stage: PerformanceStage; rows: number; last: boolean },
): number => {
  const { model, engine, performance, tensorSize, link, promptTokens } = option;
  const load = {
    rows: Math.round(rows),
    context: promptTokens / 2,
    cacheElementBytes: engine.kvElementBytes,
  };
  const sums = sumLayers(model, stage.layers, load);
  const slowest = Math.max(
    ...stage.ranks.map(
      ({ chip }) =>
        computeMs(sums, { chip, kernels, rows, tensorSize }) +
        readMs(sums, { chip, kernels, tensorSize }) +
        launchMs(sums, { chip, kernels: kernels.decode, performance, model, last }) +
        kernels.prefill.batchMilliseconds * launchFactor(chip, performance),
    ),
  );
  const bytes = rows * model.hiddenSize * activationBytes;
  return slowest + sums.allReduces * allReduceMilliseconds(link, tensorSize, bytes);
};

const computeMs = (
  sums: LayerSums,
  at: { chip: ChipFacts; kernels: EnginePerformance; rows: number; tensorSize: number },
): number => {
  const { chip, kernels, rows, tensorSize } = at;
  const { computeShare, matmulUnitFactor, bfloat16Share } = kernels.prefill;
  const { matrices, attention } = chip.hasMatmulUnits ? matmulUnitFactor : noUnits;
  const native = generationOf(chip) < firstWithBfloat16 ? bfloat16Share : 1;
  const products =
    (sums.denseParameters / computeShare.dense + sums.expertParameters / computeShare.experts) /
      matrices +
    sums.scoreProducts / computeShare.attention / attention;
  return (2 * rows * products) / (chip.fp16TFLOPS * 1e9 * native * tensorSize);
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
  }: { chip: ChipFacts; kernels: EnginePerformance; tensorSize: number },
): number => {
  const { oneDie, twoDies } = kernels.decode.bandwidthShare;
  const share = chip.dies > 1 ? twoDies : oneDie;
  const bytes = (sums.shardedBytes + sums.expertBytes) / tensorSize + sums.replicatedBytes;
  return bytes / (chip.memoryBandwidthGBps * 1e6 * share);
};
