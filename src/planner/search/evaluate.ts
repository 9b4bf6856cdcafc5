import type { LinkFacts } from '../../catalogue/facts.ts';
import type { PerformanceFacts } from '../../catalogue/performance-facts.ts';
import type { ModelProfile } from '../../catalogue/model-profile.ts';
import type { Kind } from '../inventory.ts';
import { rankMemory } from '../memory.ts';
import type { Demand } from '../memory.ts';
import type { LayerRange } from '../partition.ts';
import { correctionFor } from '../performance/correction.ts';
import type { Correction } from '../performance/correction.ts';
import type { PerformanceOption } from '../performance/option.ts';
import type { Prediction } from '../prediction.ts';
import type { Shape } from '../shapes.ts';
import type { MemoryBreakdown, Workload } from '../types.ts';

export type Predict = (option: PerformanceOption) => Prediction | undefined;

/** Who computes which layers, over which links. */
export interface Staffing {
  tensorSize: number;
  /** Nodes with whole experts. */
  expertSize?: number | undefined;
  /** ranges[stage]. */
  ranges: readonly LayerRange[];
  /** kinds[rank]: `tensorSize` for each stage. */
  kinds: readonly Kind[];
  link?: LinkFacts | undefined;
  hop?: LinkFacts | undefined;
}

interface Predictor {
  predict: Predict;
  performance: PerformanceFacts;
  corrections: readonly Correction[];
}

/** Memory and speed of the cuts of one model with one engine, each worked out once. */
export interface Evaluator {
  demand: Demand;
  /** What any cut takes at least, over all of its ranks. */
  leastBytes: number;
  /** Whether anything is known of this engine's speed. */
  isPredictable: boolean;
  memoryOf: (shape: Shape, stage: number, layers: LayerRange) => MemoryBreakdown;
  predict: (staffing: Staffing) => Prediction | undefined;
}

const createEvaluator = (
  demand: Demand,
  { engines }: PerformanceFacts,
  predictOnce: Evaluator['predict'],
): Evaluator => {
  const memories = new Map<number, MemoryBreakdown>();
  const layers = { firstLayer: 0, endLayer: demand.model.layers.length };
  const whole = rankMemory(demand, { tensorSize: 1, pipelineSize: 1 }, 0, layers);
  return {
    demand,
    leastBytes: whole.shardedWeightsBytes + whole.kvCacheBytes,
    isPredictable: engines.some(({ names }) => names.includes(demand.engine.name)),
    memoryOf: (shape, stage, range) => {
      const key = memoryKey(shape, stage, range);
      const known = memories.get(key);
      if (known) return known;
      const memory = rankMemory(demand, shape, stage, range);
      memories.set(key, memory);
      return memory;
    },
    predict: predictOnce,
  };
};

/** Memory depends on the place among the stages: the only one, the first, the last, between. */
const memoryKey = (
  { tensorSize, pipelineSize, expertSize }: Shape,
  stage: number,
  { firstLayer, endLayer }: LayerRange,
): number => {
  const ranks = 2 * tensorSize + Number(expertSize !== undefined);
  const place = pipelineSize === 1 ? 0 : stage === 0 ? 1 : stage === pipelineSize - 1 ? 2 : 3;
  return ((ranks * 4 + place) * mostLayers + firstLayer) * mostLayers + endLayer;
};

/** Beyond any model's: makes one number of several. */
const mostLayers = 2 ** 16;

/** Asks for each prediction once: what speed depends on does not include the context that memory is planned for. */
const createMemory = (
  demand: Demand,
  workload: Workload,
  { predict, performance, corrections }: Predictor,
): Evaluator['predict'] => {
  const predictions = new Map<string, Prediction | undefined>();
  return (staffing) => {
    const key = keyOf(staffing);
    const known = predictions.get(key);
    if (known || predictions.has(key)) return known;
    const correction = correctionOn(demand, corrections, staffing);
    const option = toOption(demand, workload, performance, staffing);
    const predicted = predict(correction === undefined ? option : { ...option, correction });
    predictions.set(key, predicted);
    return predicted;
  };
};

const correctionOn = (
  { engine, model }: Demand,
  corrections: readonly Correction[],
  { kinds }: Staffing,
): number | undefined => {
  if (corrections.length === 0) return undefined;
  const chips = kinds.map(({ chip }) => chip.chip);
  const about = { engine: engine.name, architecture: model.architecture, chips };
  return correctionFor(corrections, about);
};

/** One flat text made at once, for search asks very often. */
const keyOf = ({ tensorSize, expertSize = 1, ranges, kinds, link, hop }: Staffing): string => {
  const parts = [tensorSize, expertSize, linkKey(link), linkKey(hop)];
  for (const { endLayer } of ranges) parts.push(endLayer);
  for (const { id } of kinds) parts.push(id);
  return parts.join();
};

const linkKey = (link: LinkFacts | undefined): string =>
  link ? `${link.type}-${link.mode}-${link.linkGbps}` : '';

const toOption = (
  { model, engine, maxConcurrentRequests }: Demand,
  workload: Workload,
  performance: PerformanceFacts,
  { tensorSize, expertSize, ranges, kinds, link, hop }: Staffing,
): PerformanceOption => ({
  model,
  engine,
  performance,
  tensorSize,
  stages: ranges.map((layers, stage) => ({
    layers,
    ranks: kinds.slice(stage * tensorSize, (stage + 1) * tensorSize),
  })),
  ...(expertSize === undefined ? {} : { expertSize }),
  ...(link ? { link } : {}),
  ...(hop ? { hop } : {}),
  ...workload,
  concurrency: maxConcurrentRequests,
});

/** One for each model, engine and load. Predictions are kept by ids of kinds: they are for one fleet's nodes. */
export type Evaluators = (demand: Demand, workload: Workload) => Evaluator;

/** Evaluators of a fleet's models, kept between deployments that ask for the same. */
export const createEvaluators = (predictor: Predictor): Evaluators => {
  const evaluators = createShelf<Evaluator>();
  const memories = createShelf<Evaluator['predict']>();
  return (demand, workload) => {
    const { model, engine, contextLength, maxConcurrentRequests } = demand;
    const { promptTokens, generatedTokens } = workload;
    const key = [engine.name, maxConcurrentRequests, promptTokens, generatedTokens].join('/');
    return evaluators(model, `${key}/${contextLength}`, () =>
      createEvaluator(
        demand,
        predictor.performance,
        memories(model, key, () => createMemory(demand, workload, predictor)),
      ),
    );
  };
};

/** Something for each model and key, made when it is first asked for. */
const createShelf = <T extends object>(): ((
  model: ModelProfile,
  key: string,
  make: () => T,
) => T) => {
  const byModel = new WeakMap<ModelProfile, Map<string, T>>();
  return (model, key, make) => {
    const ofModel = byModel.get(model) ?? new Map<string, T>();
    byModel.set(model, ofModel);
    const made = ofModel.get(key) ?? make();
    ofModel.set(key, made);
    return made;
  };
};
