import type { ConfigFields } from '../config-fields.ts';

/** What config.json files call the same thing; the first that is given counts. */
const names: readonly (readonly [string, ...string[]])[] = [
  ['hidden_size', 'n_embd', 'd_model', 'dim', 'model_dim'],
  ['num_hidden_layers', 'n_layer', 'n_layers', 'num_layers', 'num_transformer_layers'],
  ['num_attention_heads', 'n_head', 'n_heads', 'num_heads'],
  [
    'num_key_value_heads',
    'num_kv_heads',
    'n_kv_heads',
    'n_head_kv',
    'num_attention_groups',
    'multi_query_group_num',
  ],
  ['head_dim', 'attention_head_dim', 'kv_channels'],
  ['intermediate_size', 'ffn_hidden_size', 'ffn_dim', 'n_inner', 'd_ff', 'block_ff_dim'],
  ['num_experts', 'n_routed_experts', 'num_local_experts', 'moe_num_experts'],
  [
    'num_experts_per_tok',
    'num_experts_per_token',
    'moe_k',
    'moe_topk',
    'moe_top_k',
    'top_k_experts',
    'router_top_k',
  ],
  ['moe_intermediate_size', 'expert_ffn_hidden_size', 'moe_ffn_hidden_size'],
  ['n_shared_experts', 'num_shared_experts', 'num_shared_expert', 'moe_num_shared_experts'],
  [
    'shared_expert_intermediate_size',
    'moe_shared_expert_intermediate_size',
    'shared_intermediate_size',
  ],
  ['first_k_dense_replace', 'num_dense_layers', 'moe_layer_start_index'],
  ['vocab_size', 'n_vocab', 'padded_vocab_size'],
  ['max_position_embeddings', 'max_seq_len', 'seq_length', 'n_positions', 'n_ctx'],
];

const synonyms = new Map(names.map((list) => [list[0], list]));

/** The same file under the first name of each thing; of a list, one value for each layer, the largest. */
export const underUsualNames = (fields: ConfigFields): ConfigFields => {
  const nameOf = (key: string) =>
    synonyms.get(key)?.find((name) => fields.given(name) !== undefined) ?? key;
  /** Of a list. */
  const largest = (key: string): number | undefined => {
    const value = fields.given(nameOf(key));
    if (!Array.isArray(value)) return undefined;
    const counts = value.filter((each) => Number.isInteger(each) && each >= 0);
    return counts.length > 0 ? Math.max(...counts) : undefined;
  };
  // Mamba's files say "auto" for what follows from the rest.
  const given = (key: string) => {
    const value = fields.given(nameOf(key));
    return value === 'auto' ? undefined : value;
  };
  const isAuto = (key: string) => given(key) === undefined;
  return {
    ...fields,
    given,
    integer: (key, options) =>
      (isAuto(key) ? options?.fallback : largest(key)) || fields.integer(nameOf(key), options),
    count: (key, options) => largest(key) ?? fields.count(nameOf(key), options),
  };
};
