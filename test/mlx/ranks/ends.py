"""Rank 1 ends in a way of its own while rank 0 is in the midst of its calls, and rank 0 goes on with other work."""

import os
import sys
import time

from group import mx, rank

print("started", flush=True)
try:
    for turn in range(100_000):
        value = mx.ones((64,))
        for _ in range(4):
            value = mx.distributed.all_sum(value, stream=mx.cpu) / 2
        if rank == 1 and turn == 20:
            print("ends", time.time(), flush=True)
            if sys.argv[1] == "exit":
                sys.exit(5)
            elif sys.argv[1] == "raise":
                raise ValueError("a failure of the program's own")
            else:
                os.abort()
        mx.eval(value)
except RuntimeError as error:
    print("raised", time.time(), error, flush=True)
    other = mx.ones((50, 50))
    print("other work", mx.sum(other @ other, stream=mx.cpu).item(), flush=True)
