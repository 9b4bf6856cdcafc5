"""Rank 1 lives, but joins no collective before it is told that rank 0 has ended."""

from told import wait_until_told

from group import mx, rank

value = mx.distributed.all_sum(mx.zeros((100,)), stream=mx.cpu)
if rank == 0:
    mx.async_eval(value)
else:
    wait_until_told()
    try:
        mx.eval(value)
    except RuntimeError as error:
        print("raised", error, flush=True)
