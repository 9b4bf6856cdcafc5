import type { LinkFacts } from '../../catalogue/facts.ts';
import type { PerformanceFacts } from '../../catalogue/performance-facts.ts';
import type { ModelProfile } from '../../catalogue/model-profile.ts';
import type { Kind } from '../inventory.ts';
import { rankMemory } from '../memory.ts';
import type { Demand } from '../memory.ts';
import type { LayerRange } from '../partition.ts';
import type { PerformanceOption } from '../performance/option.ts';
import type { Prediction } from '../prediction.ts';
import type { Shape } from '../shapes.ts';
import type { MemoryBreakdown, Workload } from '../types.ts';

export type Predict = (option: PerformanceOption) => Prediction | undefined;

/** Who computes which layers, over which links. */
export interface Staffing {
  tensorSize: number;
  stages: { layers: LayerRange; kinds: readonly Kind[] }[];
  link?: LinkFacts;
  hop?: LinkFacts;
}

interface Predictor {
  predict: Predict;
  performance: PerformanceFacts;
}

/** Memory and speed of the cuts of one model with one engine, each worked out once. */
export interface Evaluator {
  demand: Demand;
  /** What any cut takes at least, over all of its ranks. */
  leastBytes: number;
  memoryOf: (shape: Shape, stage: number, layers: LayerRange) => MemoryBreakdown;
  predict: (staffing: Staffing) => Prediction | undefined;
}

const createEvaluator = (
  demand: Demand,
  workload: Workload,
  { predict, performance }: Predictor,
): Evaluator => {
  const memories = new Map<string, MemoryBreakdown>();
  const predictions = new Map<string, Prediction | undefined>();
  const layers = { firstLayer: 0, endLayer: demand.model.layers.length };
  const whole = rankMemory(demand, { tensorSize: 1, pipelineSize: 1 }, 0, layers);
  return {
    demand,
    leastBytes: whole.shardedWeightsBytes + whole.kvCacheBytes,
    memoryOf: (shape, stage, layers) => {
      const place = stage === 0 ? 'first' : stage === shape.pipelineSize - 1 ? 'last' : 'middle';
      const key = `${shape.tensorSize}/${shape.pipelineSize === 1}/${place}/${layers.firstLayer}/${layers.endLayer}`;
      const known = memories.get(key) ?? rankMemory(demand, shape, stage, layers);
      memories.set(key, known);
      return known;
    },
    predict: (staffing) => {
      const key = keyOf(staffing);
      if (!predictions.has(key)) {
        predictions.set(key, predict(toOption(demand, workload, performance, staffing)));
      }
      return predictions.get(key);
    },
  };
};

const keyOf = ({ tensorSize, stages, link, hop }: Staffing): string => {
  const who = stages.map(
    ({ layers, kinds }) => `${layers.endLayer}:${kinds.map(({ id }) => id).join()}`,
  );
  return `${tensorSize}/${who.join(';')}/${linkKey(link)}/${linkKey(hop)}`;
};

const linkKey = (link: LinkFacts | undefined): string =>
  link ? `${link.type}-${link.mode}-${link.linkGbps}` : '';

const toOption = (
  { model, engine, maxConcurrentRequests }: Demand,
  workload: Workload,
  performance: PerformanceFacts,
  { tensorSize, stages, link, hop }: Staffing,
): PerformanceOption => ({
  model,
  engine,
  performance,
  tensorSize,
  stages: stages.map(({ layers, kinds }) => ({ layers, ranks: [...kinds] })),
  ...(link ? { link } : {}),
  ...(hop ? { hop } : {}),
  ...workload,
  concurrency: maxConcurrentRequests,
});

/** Evaluators of a fleet's models, kept between deployments that ask for the same. */
export const createEvaluators = (
  predictor: Predictor,
): ((demand: Demand, workload: Workload) => Evaluator) => {
  const known = new WeakMap<ModelProfile, Map<string, Evaluator>>();
  return (demand, workload) => {
    const { model, engine, contextLength, maxConcurrentRequests } = demand;
    const ofModel = known.get(model) ?? new Map<string, Evaluator>();
    known.set(model, ofModel);
    const key = [
      engine.name,
      contextLength,
      maxConcurrentRequests,
      workload.promptTokens,
      workload.generatedTokens,
    ].join('/');
    const evaluator = ofModel.get(key) ?? createEvaluator(demand, workload, predictor);
    ofModel.set(key, evaluator);
    return evaluator;
  };
};
