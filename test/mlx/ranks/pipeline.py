"""Greedy tokens of a small DeepSeek with random weights, its layers on one rank and then spread over all, as mlx-lm does."""

import json

from group import group, mx
from mlx_lm.generate import generate_step
from mlx_lm.models.deepseek_v3 import Model, ModelArgs

LENGTH = 24
PROMPT = [3, 17, 44, 9, 101, 5, 6, 7]
CONFIG = {
    "vocab_size": 128,
    "hidden_size": 64,
    "intermediate_size": 128,
    "moe_intermediate_size": 32,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "n_shared_experts": 1,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "first_k_dense_replace": 1,
    "q_lora_rank": 32,
    "kv_lora_rank": 32,
    "qk_rope_head_dim": 16,
    "qk_nope_head_dim": 16,
    "v_head_dim": 16,
}


def greedy(model):
    return [int(token) for token, _ in generate_step(mx.array(PROMPT), model, max_tokens=LENGTH)]


mx.random.seed(3)
model = Model(ModelArgs.from_dict(CONFIG))
mx.eval(model.parameters())
print("alone", json.dumps(greedy(model)), flush=True)
model.model.pipeline(group)
print("spread", json.dumps(greedy(model)), flush=True)
try:
    while True:
        greedy(model)
except RuntimeError as error:
    print("raised", error, flush=True)
