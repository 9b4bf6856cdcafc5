import type { ConfigFields } from '../config-fields.ts';
import { matrix, vector } from '../model-shape.ts';
import type { ExpertsShape, LayerShape, ModelModule } from '../model-shape.ts';

/** What an MLP adds to a layer. */
export type MlpShape = Pick<LayerShape, 'modules' | 'divisors' | 'groupCuts' | 'experts'>;

interface MlpOptions {
  bias?: boolean;
  /** False: up and down only. */
  gate?: boolean;
}

/** Gate, up and down. `prefix`: "model.layers.0.mlp". */
export const gatedMlp = (
  prefix: string,
  hiddenSize: number,
  width: number,
  { bias = false, gate = true }: MlpOptions = {},
): MlpShape => ({
  modules: mlpModules(prefix, hiddenSize, width, { bias, gate }),
  divisors: [{ reason: 'IndivisibleIntermediateSize', what: 'columns of the MLP', count: width }],
  groupCuts: [
    { what: 'MLP down projection', module: `${prefix}.down_proj`, inputs: width, unit: 1 },
  ],
});

const mlpModules = (
  prefix: string,
  hiddenSize: number,
  width: number,
  { bias = false, gate = true }: MlpOptions,
): ModelModule[] => [
  ...(gate ? [matrix(`${prefix}.gate_proj`, [width, hiddenSize], 'Rows', { bias })] : []),
  matrix(`${prefix}.up_proj`, [width, hiddenSize], 'Rows', { bias }),
  matrix(`${prefix}.down_proj`, [hiddenSize, width], 'Columns', { bias }),
];

export interface RoutedOptions extends MlpOptions {
  /** "model.layers.0.mlp" */
  prefix: string;
  hiddenSize: number;
  /** Inputs and outputs of each expert, where that is not the hidden size. */
  expertHiddenSize?: number;
  width: number;
  count: number;
  perToken: number;
  /** "mlp.gate" unless said; `plain`: a bare parameter that quantisers leave alone. */
  router?: { name?: string; plain?: boolean; bias?: boolean };
  /** Each expert has a bias that steers the choice of experts. */
  routingBias?: boolean;
  /** "switch_mlp" unless said. */
  expertsName?: string;
  shared?: { name: string; width: number; gate?: string };
}

/** A router and routed experts, of which each tensor rank has a slice; shared experts are a dense MLP beside them. */
export const routedMlp = (options: RoutedOptions): MlpShape => {
  const { prefix, hiddenSize, width, count, perToken, shared, router = {} } = options;
  const name = `${prefix}.${options.expertsName ?? 'switch_mlp'}`;
  const dense = shared && gatedMlp(`${prefix}.${shared.name}`, hiddenSize, shared.width, options);
  const experts: ExpertsShape = {
    count,
    perToken,
    modules: mlpModules(name, options.expertHiddenSize ?? hiddenSize, width, options),
  };
  return {
    modules: [
      matrix(`${prefix}.${router.name ?? 'gate'}`, [count, hiddenSize], 'Nothing', {
        plain: router.plain === true,
        bias: router.bias === true,
      }),
      ...(options.routingBias ? [vector(`${prefix}.routing_bias`, count)] : []),
      ...(shared?.gate ? [matrix(`${prefix}.${shared.gate}`, [1, hiddenSize], 'Nothing')] : []),
      ...(dense?.modules ?? []),
    ],
    experts,
    divisors: [
      { reason: 'IndivisibleIntermediateSize', what: 'columns of each expert', count: width },
      ...(dense?.divisors ?? []),
    ],
    groupCuts: [
      {
        what: 'down projection of each expert',
        module: `${name}.down_proj`,
        inputs: width,
        unit: 1,
      },
      ...(dense?.groupCuts ?? []),
    ],
  };
};

/** The families that took over DeepSeek's field names: routed and shared experts, the first layers dense. */
export const deepseekMlp = (
  fields: ConfigFields,
  index: number,
  hiddenSize: number,
  { routingBias = true }: { routingBias?: boolean } = {},
): MlpShape => {
  const prefix = `model.layers.${index}.mlp`;
  const count = fields.count('n_routed_experts');
  const every = fields.integer('moe_layer_freq', { fallback: 1 });
  if (count === 0 || index < fields.count('first_k_dense_replace') || index % every !== 0) {
    return gatedMlp(prefix, hiddenSize, fields.integer('intermediate_size'));
  }
  const width = fields.integer('moe_intermediate_size');
  const sharedExperts = fields.count('n_shared_experts');
  return routedMlp({
    prefix,
    hiddenSize,
    width,
    count,
    perToken: fields.integer('num_experts_per_tok'),
    router: { plain: true },
    routingBias,
    ...(sharedExperts > 0 && {
      shared: { name: 'shared_experts', width: width * sharedExperts },
    }),
  });
};
