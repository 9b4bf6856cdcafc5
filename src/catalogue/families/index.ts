import type { ConfigFields } from '../config-fields.ts';
import type { ModelShape } from '../model-shape.ts';
import { dbrx } from './dbrx.ts';
import { deepseekV4 } from './deepseek-v4.ts';
import { deepseek } from './deepseek.ts';
import { cohere, cohere2, glm4, llama, mistral, olmo2, qwen2, qwen3, seedOss } from './dense.ts';
import { gemma, gemma4 } from './gemma.ts';
import { kimiLinear } from './kimi-linear.ts';
import { glm4Moe, gptOss, llama4, minimax, mixtral, qwen2Moe, qwen3Moe, step } from './moe.ts';
import { nemotronH } from './nemotron.ts';
import { qwenNext } from './qwen-next.ts';

/** Throws ModelConfigInvalid for fields that are missing or malformed. */
export type Family = (fields: ConfigFields, architecture: string) => ModelShape;

/** By config.json's model_type. Models with a vision part have their text part in text_config. */
export const families: Readonly<Record<string, Family>> = {
  cohere,
  cohere2,
  dbrx,
  deepseek_v2: deepseek,
  deepseek_v3: deepseek,
  deepseek_v32: deepseek,
  deepseek_v4: deepseekV4,
  ernie4_5: llama,
  gemma,
  gemma2: gemma,
  gemma3: gemma,
  gemma3_text: gemma,
  gemma4,
  gemma4_text: gemma4,
  gemma4_unified: gemma4,
  gemma4_unified_text: gemma4,
  glm4,
  glm4_moe: glm4Moe,
  glm4_moe_lite: deepseek,
  glm_moe_dsa: deepseek,
  gpt_oss: gptOss,
  granite: llama,
  hunyuan_v1_dense: qwen3,
  internlm2: llama,
  internlm3: llama,
  kimi_k2: deepseek,
  kimi_k25: deepseek,
  kimi_k3: kimiLinear,
  kimi_linear: kimiLinear,
  llama,
  llama4,
  llama4_text: llama4,
  mimo: qwen2,
  minimax,
  minimax_m2: minimax,
  minimax_m3: minimax,
  ministral3: mistral,
  mistral,
  mistral3: mistral,
  mixtral,
  nemotron_h: nemotronH,
  olmo: llama,
  olmo2,
  // Fused projections weigh what their parts do.
  phi3: mistral,
  qwen2,
  qwen2_5_vl: qwen2,
  qwen2_moe: qwen2Moe,
  qwen2_vl: qwen2,
  qwen3,
  qwen3_5: qwenNext,
  qwen3_5_moe: qwenNext,
  qwen3_5_moe_text: qwenNext,
  qwen3_5_text: qwenNext,
  qwen3_moe: qwen3Moe,
  qwen3_next: qwenNext,
  qwen3_vl: qwen3,
  qwen3_vl_moe: qwen3Moe,
  seed_oss: seedOss,
  smollm3: llama,
  step3p5: step,
  step3p7: step,
};
