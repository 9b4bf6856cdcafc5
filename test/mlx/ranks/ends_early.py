"""Rank 0 ends its program with a collective queued, which rank 1 joins only later."""

import time

from group import mx, rank

total = mx.distributed.all_sum(mx.full((1024,), 1.0), stream=mx.cpu)
if rank == 0:
    mx.async_eval(total)
print("left", flush=True)
if rank == 1:
    time.sleep(0.5)
    print("sum", total.sum().item(), flush=True)
