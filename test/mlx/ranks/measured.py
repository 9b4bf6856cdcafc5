"""A rank of the benchmark: does what the driver asks over a socket, `bytes N` or `tokens N`, and answers with a number."""

import os
import socket
import sys
import time

if os.environ.get("PINNED") != "0":
    os.sched_setaffinity(0, {int(os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ["RANK"]) % os.cpu_count()})

from group import group, mx, rank  # noqa: E402  after the affinity, which MLX's threads inherit
from mlx_lm import load, stream_generate  # noqa: E402
from mlx_lm.utils import dequantize_model  # noqa: E402

CHAIN = 100
REPEATS = 5


def microseconds(nbytes):
    """Median time of one of CHAIN all_sums in a row, in one eval."""
    value = mx.zeros((nbytes // 2,), dtype=mx.bfloat16)
    mx.eval(value)
    times = []
    for _ in range(REPEATS):
        mx.eval(mx.distributed.all_sum(mx.array(0), stream=mx.cpu))
        chained = value
        started = time.perf_counter()
        for _ in range(CHAIN):
            chained = mx.distributed.all_sum(chained, stream=mx.cpu)
        mx.eval(chained)
        times.append((time.perf_counter() - started) / CHAIN * 1e6)
    return sorted(times)[REPEATS // 2]


def tokens_per_second(count):
    started = time.perf_counter()
    made = sum(1 for _ in stream_generate(model, tokenizer, "The old man", max_tokens=count))
    return made / (time.perf_counter() - started)


# In float32: MLX computes with quantised weights so slowly on a CPU that nothing else would be seen.
model, tokenizer = load(os.environ["SPROUT"])
model = dequantize_model(model)
model.set_dtype(mx.float32)
model.shard(group)
with socket.socket(socket.AF_UNIX) as driver:
    driver.connect(sys.argv[1])
    lines = driver.makefile("rw")
    print(sys.argv[2], rank, file=lines, flush=True)
    for line in lines:
        what, number = line.split()
        answer = microseconds(int(number)) if what == "bytes" else tokens_per_second(int(number))
        print(answer, file=lines, flush=True)
