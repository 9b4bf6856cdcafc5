"""Write expected.json: what mlx-lm, an implementation that is not ours, computes with sprout.

    python -m venv /tmp/mlx && /tmp/mlx/bin/pip install "mlx[cpu]" mlx-lm
    /tmp/mlx/bin/python expected.py

On a Mac `mlx-lm` alone will do. Greedy continuations are stored with their margins: the logit of
the chosen token less that of the runner-up. A continuation ends where a margin falls below
SMALLEST_MARGIN, with float32 arithmetic or with float16, so that another order of rounding does
not change a stored token.
"""

import json
from pathlib import Path

import mlx.core as mx
from mlx_lm import load
from mlx_lm.models.cache import make_prompt_cache

FOLDER = Path(__file__).parent
LENGTH = 32
SMALLEST_MARGIN = 0.05
PROMPTS = [
    "It was a dark night, and the old man",
    "Alice was beginning to",
    "The boys were",
    "The old man",
    "She could not help",
    "One morning the boys",
    "Tom said that he",
    "There was a little girl who",
]
LOGITS_PROMPT = "Once upon a time"


def main():
    half, tokenizer = load(str(FOLDER))
    single, _ = load(str(FOLDER))
    single.set_dtype(mx.float32)
    write(
        {
            "about": "Computed by mlx-lm with expected.py; logits and margins in float32.",
            "logits": top_logits(single, tokenizer),
            "continuations": [greedy([single, half], tokenizer, prompt) for prompt in PROMPTS],
        }
    )


def greedy(models, tokenizer, prompt):
    """Continue as the first model does, while every model agrees by SMALLEST_MARGIN."""
    prompt_ids = tokenizer.encode(prompt)
    caches = [make_prompt_cache(model) for model in models]
    ids, margins, inputs = [], [], prompt_ids
    while len(ids) < LENGTH and tokenizer.eos_token_id not in ids:
        choices = [
            choose(model, inputs, cache) for model, cache in zip(models, caches, strict=True)
        ]
        token, margin = choices[0]
        if any(other != token or least < SMALLEST_MARGIN for other, least in choices):
            break
        ids.append(token)
        margins.append(round(margin, 3))
        inputs = [token]
    return {
        "prompt": prompt,
        "prompt_ids": prompt_ids,
        "ids": ids,
        "margins": margins,
        "text": tokenizer.decode(ids),
    }


def choose(model, inputs, cache):
    """Return the likeliest next token, and its logit less that of the runner-up."""
    logits = model(mx.array([inputs]), cache=cache)[0, -1].astype(mx.float32)
    second, first = sorted(mx.topk(logits, 2).tolist())
    return int(mx.argmax(logits)), first - second


def top_logits(model, tokenizer):
    ids = tokenizer.encode(LOGITS_PROMPT)
    logits = model(mx.array([ids]))[0, -1]
    best = mx.argsort(-logits)[:10].tolist()
    values = [round(float(logits[token]), 5) for token in best]
    return {"prompt": LOGITS_PROMPT, "prompt_ids": ids, "ids": best, "values": values}


def write(value):
    text = json.dumps(value, indent=1, ensure_ascii=False)
    (FOLDER / "expected.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
