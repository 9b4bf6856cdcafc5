"""Rank 1 calls for one number more than rank 0, or receives one more than it is sent."""

import sys

from group import mx, rank

numbers = mx.zeros((100 + rank,))
try:
    if sys.argv[1] == "sum":
        mx.eval(mx.distributed.all_sum(numbers, stream=mx.cpu))
    elif rank == 0:
        mx.eval(mx.distributed.send(numbers, 1, stream=mx.cpu))
        mx.eval(mx.distributed.recv_like(numbers, 1, stream=mx.cpu))
    else:
        mx.eval(mx.distributed.recv_like(numbers, 0, stream=mx.cpu))
except RuntimeError as error:
    print("raised", error, flush=True)
