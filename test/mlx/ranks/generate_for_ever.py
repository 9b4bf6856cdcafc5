"""Generates without end; says when it has begun, and what an exception said and when, and that it burns no CPU then."""

import os
import time

from group import group, mx, rank
from mlx_lm import load, stream_generate
from mlx_lm.utils import dequantize_model

# With quantised weights MLX takes the better part of a minute on a busy CPU for its first tokens.
model, tokenizer = load(os.environ["SPROUT"])
model = dequantize_model(model)
model.set_dtype(mx.float32)
model.shard(group)
try:
    while True:
        for count, _ in enumerate(stream_generate(model, tokenizer, "The old man", max_tokens=200)):
            if count == 20:
                print("generating", flush=True)
except RuntimeError as error:
    print("raised", time.time(), error, flush=True)
try:
    mx.eval(mx.distributed.all_sum(mx.array(rank), stream=mx.cpu))
except RuntimeError as error:
    print("again", error, flush=True)
before = time.process_time()
time.sleep(0.5)
print("burnt", time.process_time() - before, flush=True)
