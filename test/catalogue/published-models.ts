import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { profileOf } from '../../src/catalogue/profile.ts';
import type { ModelProfile } from '../../src/catalogue/model-profile.ts';

export interface PublishedModel {
  paramsTotal: number;
  /** Null: not published. */
  paramsActiveReadPerToken: number | null;
  kvBytesPerTokenFp16: number;
  tpMaxDegree: number;
  tpMaxDegreeQuantised: number;
  sizes: { label: string; quant: string; bytes: number }[];
}

const read = (name: string): unknown =>
  JSON.parse(readFileSync(join(import.meta.dirname, name), 'utf8'));

/** Published shapes and file sizes, by model. */
export const published = read('model-facts.json') as Record<string, PublishedModel>;

/** The model's config.json as published. */
export const configOf = (name: string): Record<string, unknown> =>
  read(`models/${name}.json`) as Record<string, unknown>;

/** Of all layers' mixers, MLPs and chosen experts, head and final norm: what one token reads. */
export const activeParameters = (profile: ModelProfile): number =>
  profile.layers.reduce(
    (sum, { activeParameters: own, experts }) =>
      sum + own + (experts ? experts.perToken * experts.parametersEach : 0),
    profile.vocabSize * profile.hiddenSize + profile.hiddenSize,
  );

/** The largest power of two up to 8 that divides all there is to divide. */
export const largestTensorSize = ({ divisors, hiddenSize }: ModelProfile): number =>
  Math.max(
    ...[1, 2, 4, 8].filter(
      (ranks) => hiddenSize % ranks === 0 && divisors.every(({ count }) => count % ranks === 0),
    ),
  );

const affine = (bits: number, groupSize = 64) => ({ bits, group_size: groupSize });

/** MXFP4 experts and 8-bit affine for the rest, as MLX conversions name each module. */
const mxfp4AndAffine = (layers: number, experts: RegExp, modules: readonly string[]) => ({
  ...affine(4, 32),
  mode: 'mxfp4',
  ...Object.fromEntries(
    [
      'model.embed_tokens',
      'lm_head',
      ...Array.from({ length: layers }, (_, index) =>
        modules.map((name) => `model.layers.${index}.${name}`),
      ).flat(),
    ]
      .filter((name) => !experts.test(name))
      .map((name) => [name, affine(8)]),
  ),
});

const latent = ['q_a_proj', 'q_b_proj', 'kv_a_proj_with_mqa', 'kv_b_proj', 'o_proj'];
const indexer = ['indexer.wq_b', 'indexer.wk', 'indexer.weights_proj'];
const shared = ['gate_proj', 'up_proj', 'down_proj'];
const mxfp4Modules: Readonly<Record<string, readonly string[]>> = {
  gpt_oss: ['mlp.router', ...['q', 'k', 'v', 'o'].map((name) => `self_attn.${name}_proj`)],
  glm_moe_dsa: [
    ...[...latent, ...indexer].map((name) => `self_attn.${name}`),
    ...shared.flatMap((name) => [`mlp.${name}`, `mlp.shared_experts.${name}`]),
  ],
};

/** The profile of a model as one of its published files stores it. */
export const storedProfile = (name: string, label: string, quant: string): ModelProfile => {
  const config = configOf(name);
  const type = String(config['model_type']);
  if (quant === 'native' || type === 'deepseek_v4') return profileOf(config);
  const modules = mxfp4Modules[type];
  if (quant === 'MXFP4-Q8' && modules) {
    const layers = Number(config['num_hidden_layers']);
    return profileOf(config, { quantization: mxfp4AndAffine(layers, /switch_mlp/, modules) });
  }
  const bits = Number(/^(\d)bit$/.exec(quant)?.[1] ?? 0);
  const groupSize = label.endsWith('gs32') ? 32 : 64;
  return profileOf(config, { quantization: bits === 0 ? null : affine(bits, groupSize) });
};
