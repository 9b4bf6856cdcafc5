from group import mx, rank

total = mx.distributed.all_sum(mx.array(float(rank)), stream=mx.cpu).item()
# One write: mpirun mixes what its ranks print.
print(f"sum {total}\n", end="", flush=True)
