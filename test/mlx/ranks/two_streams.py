"""Two streams of rank 0 on one group at a time, in calls that nothing tells apart, for rank 1 is late."""

import time

from group import group, mx, rank

try:
    if rank == 1:
        time.sleep(1)
    sums = [
        mx.distributed.all_sum(mx.full((1000,), value), group=group, stream=mx.new_stream(mx.cpu))
        for value in (1.0, 2.0)
    ]
    mx.eval(sums)
except RuntimeError as error:
    print("raised", error, flush=True)
