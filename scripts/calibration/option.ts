import type { Catalogue } from '../../src/catalogue/facts.ts';
import type { LayerProfile, ModelProfile } from '../../src/catalogue/model-profile.ts';
import { profileOf } from '../../src/catalogue/profile.ts';
import { partitionLayers } from '../../src/planner/partition.ts';
import type { PerformanceOption } from '../../src/planner/performance/option.ts';
import { modelConfigs } from './measurements.ts';
import type { Measurement } from './measurements.ts';

const configs = modelConfigs();
const profiles = new Map<string, ModelProfile>();

/** Prompts that a measurement does not tell are short ones; answers are a few hundred tokens. */
const usualPrompt = 30;
const usualAnswer = 256;

/** What the planner would be asked for a measurement. Throws if the catalogue lacks something that it names. */
export const optionOf = (measurement: Measurement, catalogue: Catalogue): PerformanceOption => {
  const { engine, nodes = 1, cut, link, concurrency = 1 } = measurement;
  const model = profileFor(measurement);
  const tensorSize = cut === 'Tensor' ? nodes : 1;
  const facts = link && catalogue.links.find((each) => matches(each, link));
  return {
    model,
    engine: named(catalogue.engines, engine, ({ name }) => name),
    performance: catalogue.performance,
    tensorSize,
    stages: stagesOf(measurement, model, catalogue),
    ...(facts && (cut === 'Tensor' ? { link: facts } : { hop: facts })),
    ...(measurement.fastSynch === undefined ? {} : { fastSynch: measurement.fastSynch }),
    promptTokens: measurement.promptTokens ?? usualPrompt,
    generatedTokens: measurement.generatedTokens ?? usualAnswer,
    concurrency,
  };
};

const stagesOf = (
  measurement: Measurement,
  model: ModelProfile,
  catalogue: Catalogue,
): PerformanceOption['stages'] => {
  const { cut, nodes = 1, stages } = measurement;
  if (stages) {
    let end = 0;
    return stages.map((stage) => {
      const firstLayer = end;
      end += stage.layers;
      return { layers: { firstLayer, endLayer: end }, ranks: [rankOf(stage, catalogue)] };
    });
  }
  const rank = rankOf(measurement, catalogue);
  const ranks = Array.from({ length: cut === 'Tensor' ? nodes : 1 }, () => rank);
  return partitionLayers(model.layers.length, cut === 'Pipeline' ? nodes : 1).map((layers) => ({
    layers,
    ranks,
  }));
};

const rankOf = (
  { chip: name, gpuCores }: Pick<Measurement, 'chip' | 'gpuCores'>,
  catalogue: Catalogue,
): PerformanceOption['stages'][number]['ranks'][number] => {
  const variants = catalogue.chips.filter((each) => each.chip === name);
  const chip =
    variants.find((each) => each.gpuCores === gpuCores) ??
    named(variants.slice(-1), name, (each) => each.chip);
  const machine = catalogue.machines.find(
    (each) => each.chip === chip.chip && /Studio|mini/.test(each.marketingName),
  );
  return { chip, ...(machine && { machine }) };
};

const matches = (
  facts: { type: string; mode: string; linkGbps: number },
  [type, mode, gbps]: [string, string, number],
): boolean =>
  facts.type === type && facts.mode === mode && (type !== 'Ethernet' || facts.linkGbps === gbps);

const named = <T>(
  list: readonly T[],
  name: string | undefined,
  nameOf: (entry: T) => string,
): T => {
  const found = list.find((entry) => nameOf(entry) === name);
  if (found) return found;
  throw new Error(`the catalogue has no ${name}`);
};

/** The 16-bit profile with its matrices at the widths that the measurement tells. */
const profileFor = ({ model = '', bits = 16, expertBits = bits }: Measurement): ModelProfile => {
  const key = `${model} ${bits} ${expertBits}`;
  const known = profiles.get(key);
  if (known) return known;
  const config = configs[model];
  if (!config) throw new Error(`models.yaml has no ${model}`);
  const plain = profileOf(config, { quantization: null, uri: model });
  const layers = plain.layers.map((layer) => narrowed(layer, bits / 16, expertBits / 16));
  const profile = {
    ...plain,
    layers,
    embeddingBytes: (plain.embeddingBytes * bits) / 16,
    headBytes: (plain.headBytes * bits) / 16,
    otherBytes: (plain.otherBytes * bits) / 16,
    ...(bits < 16 || expertBits < 16
      ? { quantization: { format: 'Other' as const, bits: Math.floor(expertBits), groupSize: 64 } }
      : {}),
  };
  profiles.set(key, profile);
  return profile;
};

const narrowed = (layer: LayerProfile, by: number, expertsBy: number): LayerProfile => ({
  ...layer,
  shardedBytes: layer.shardedBytes * by,
  replicatedBytes: layer.replicatedBytes * by,
  ...(layer.experts && {
    experts: { ...layer.experts, bytesEach: layer.experts.bytesEach * expertsBy },
  }),
});
