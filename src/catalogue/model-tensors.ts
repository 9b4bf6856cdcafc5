import type { ModelConfig } from './model-config.ts';

/** Where a tensor's bytes count. */
export type Place = { layer: number } | 'Embedding' | 'Head' | 'Other';

/** A linear layer (columns > 0) or a vector of `rows` elements, as config.json implies it. */
export interface ExpectedModule {
  /** Without ".weight". */
  name: string;
  rows: number;
  columns: number;
  place: Place;
  bias: boolean;
  /** Tensor parallelism divides the matrix; its bias only when it divides the output rows. */
  cut: 'Rows' | 'Columns' | 'Nothing';
}

/** All modules of a Llama-family model, in file order of Hugging Face checkpoints. */
export const expectedModules = (config: ModelConfig, tiedEmbeddings: boolean): ExpectedModule[] => [
  matrix('model.embed_tokens', [config.vocabSize, config.hiddenSize], 'Embedding', 'Nothing'),
  ...Array.from({ length: config.layers }, (_, layer) => layerModules(config, layer)).flat(),
  vector('model.norm', config.hiddenSize, 'Other'),
  ...(tiedEmbeddings
    ? []
    : [matrix('lm_head', [config.vocabSize, config.hiddenSize], 'Head', 'Rows')]),
];

const layerModules = (config: ModelConfig, layer: number): ExpectedModule[] => {
  const { hiddenSize, intermediateSize, queryKeyValueBias, outputBias, mlpBias } = config;
  const place = { layer };
  const prefix = `model.layers.${layer}`;
  const queryRows = config.heads * config.headDim;
  const keyRows = config.kvHeads * config.headDim;
  const attention = (name: string) => `${prefix}.self_attn.${name}`;
  const mlp = (name: string) => `${prefix}.mlp.${name}`;
  return [
    vector(`${prefix}.input_layernorm`, hiddenSize, place),
    matrix(attention('q_proj'), [queryRows, hiddenSize], place, 'Rows', queryKeyValueBias),
    matrix(attention('k_proj'), [keyRows, hiddenSize], place, 'Rows', queryKeyValueBias),
    matrix(attention('v_proj'), [keyRows, hiddenSize], place, 'Rows', queryKeyValueBias),
    matrix(attention('o_proj'), [hiddenSize, queryRows], place, 'Columns', outputBias),
    vector(`${prefix}.post_attention_layernorm`, hiddenSize, place),
    matrix(mlp('gate_proj'), [intermediateSize, hiddenSize], place, 'Rows', mlpBias),
    matrix(mlp('up_proj'), [intermediateSize, hiddenSize], place, 'Rows', mlpBias),
    matrix(mlp('down_proj'), [hiddenSize, intermediateSize], place, 'Columns', mlpBias),
  ];
};

const matrix = (
  name: string,
  [rows, columns]: [number, number],
  place: Place,
  cut: ExpectedModule['cut'],
  bias = false,
): ExpectedModule => ({ name, rows, columns, place, cut, bias });

const vector = (name: string, rows: number, place: Place): ExpectedModule => ({
  name,
  rows,
  columns: 0,
  place,
  cut: 'Nothing',
  bias: false,
});
