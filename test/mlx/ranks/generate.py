"""Greedy continuations of sprout with mlx-lm, cut across the ranks when there are several: one line of ids each."""

import json
import os
import sys
import time

import mlx.core as mx
from mlx_lm import load, stream_generate
from mlx_lm.utils import sharded_load

LENGTH = 24
PROMPTS = 3


def greedy(model, tokenizer, prompt, length):
    started = time.perf_counter()
    ids = [step.token for step in stream_generate(model, tokenizer, prompt, max_tokens=length)]
    return ids, len(ids) / (time.perf_counter() - started)


if __name__ == "__main__":
    folder = os.environ["SPROUT"]
    if os.environ["BACKEND"] == "none":
        model, tokenizer = load(folder)
    else:
        # As mlx_lm itself does it: init() without arguments finds the one backend that is configured.
        model, tokenizer = sharded_load(folder)
        assert mx.distributed.init().size() == int(sys.argv[1]), mx.distributed.init().size()
    expected = json.load(open(f"{folder}/expected.json"))["continuations"][:PROMPTS]
    for one in expected:
        ids, rate = greedy(model, tokenizer, one["prompt_ids"], LENGTH)
        print("ids", json.dumps(ids))
    print("rate", rate)
