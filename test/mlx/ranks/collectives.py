"""Every collective, type and size against numpy, bit by bit. All ranks make the same calls in the same order."""

import itertools
import math

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from group import bits, group, rank, same_bits, size, tree

INTEGERS = [mx.int8, mx.uint8, mx.int16, mx.uint16, mx.int32, mx.uint32, mx.int64, mx.uint64]
FLOATS = [mx.float16, mx.bfloat16, mx.float32, mx.float64, mx.complex64]
SIZES = [0, 1, 2, 3, 17, 1000, 4096, 32768 + 5, 300_001]
cpu = mx.cpu
checks = 0


def numbers(dtype, count, of_rank):
    """What `of_rank` contributes, as numpy; bfloat16 as the float32 values that it can hold."""
    random = np.random.default_rng(1000 * of_rank + count)
    if dtype == mx.bool_:
        return random.integers(0, 2, count).astype(bool)
    if dtype in INTEGERS:
        name = str(dtype).split(".")[-1]
        limits = np.iinfo(name)
        return random.integers(limits.min, limits.max, count, dtype=name, endpoint=True)
    values = random.standard_normal(count) * 8
    if dtype == mx.complex64:
        return (values + 1j * random.standard_normal(count)).astype(np.complex64)
    if dtype == mx.float64:
        return values
    if dtype == mx.float16:
        return values.astype(np.float16)
    values = values.astype(np.float32)
    return round_to_bfloat16(values) if dtype == mx.bfloat16 else values


def round_to_bfloat16(values):
    as_bits = np.asarray(values, np.float32).view(np.uint32)
    return ((as_bits + 0x7FFF + (as_bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def to_mlx(values, dtype):
    return mx.array(values, dtype=dtype)


def reduction(name, dtype):
    def combine(a, b):
        if name == "max":
            return np.maximum(a, b)
        if name == "min":
            return np.minimum(a, b)
        if dtype == mx.bool_:
            return a | b
        return round_to_bfloat16(a + b) if dtype == mx.bfloat16 else a + b

    return combine


def check(got, expected, what):
    global checks
    same_bits(got, expected, what)
    checks += 1


def all_reduce():
    for dtype in [mx.bool_, *INTEGERS, *FLOATS]:
        for name in ("sum", "max", "min"):
            call = getattr(mx.distributed, f"all_{name}")
            for count in SIZES:
                parts = [numbers(dtype, count, r) for r in range(size)]
                expected = to_mlx(tree(parts, reduction(name, dtype)), dtype)
                what = f"all_{name} of {count} {dtype}"
                kept = to_mlx(parts[rank], dtype)
                mx.eval(kept)
                check(call(kept, group=group, stream=cpu), expected, what)
                check(kept, to_mlx(parts[rank], dtype), what + ": the input")
                # A temporary is reduced in place.
                with mx.stream(cpu):
                    donated = mx.concatenate([to_mlx(parts[rank], dtype)])
                check(call(donated, group=group, stream=cpu), expected, what + ", in place")


def extremes():
    """Maxima and minima of what is infinite, as large as can be, or no number: that wins, as it does in one process."""
    for dtype in [mx.float16, mx.bfloat16, mx.float32, mx.float64]:
        large = mx.finfo(dtype).max
        values = [1.0, -1.0, large, -large, large / 4, -math.inf, math.inf, math.nan]
        parts = [mx.array(part, dtype=dtype) for part in zip(*itertools.product(values, repeat=size), strict=True)]
        for name in ("max", "min"):
            whole = getattr(mx, f"{name}imum")
            expected = tree(parts, lambda a, b, whole=whole: whole(a, b, stream=cpu))
            got = getattr(mx.distributed, f"all_{name}")(parts[rank], stream=cpu)
            check(got, expected, f"all_{name} of extremes of {dtype}")


def shapes():
    scalar = mx.distributed.all_sum(mx.array(rank + 1.0), stream=cpu)
    check(scalar, mx.array(size * (size + 1) / 2), "a scalar")
    grid = mx.arange(12).reshape(3, 4) + rank
    check(
        mx.distributed.all_sum(grid.T, stream=cpu),
        mx.contiguous(grid.T - rank) * size + size * (size - 1) // 2,
        "a transposed array",
    )
    check(
        mx.distributed.all_gather(grid[:, ::2], stream=cpu),
        mx.concatenate([mx.arange(12).reshape(3, 4)[:, ::2] + r for r in range(size)]),
        "every second column, gathered",
    )
    check(mx.distributed.all_gather(mx.array(rank), stream=cpu), mx.arange(size), "scalars, gathered")


def all_gather():
    for dtype in [mx.bool_, *INTEGERS, *FLOATS]:
        for count in SIZES:
            parts = [to_mlx(numbers(dtype, count, r), dtype) for r in range(size)]
            with mx.stream(cpu):
                expected = mx.concatenate(parts)
            got = mx.distributed.all_gather(parts[rank], group=group, stream=cpu)
            check(got, expected, f"all_gather of {count} {dtype}")


def send_and_receive():
    after, before = (rank + 1) % size, (rank - 1) % size
    for dtype in [mx.bool_, mx.int8, mx.uint64, *FLOATS]:
        for count in SIZES:
            mine, theirs = (to_mlx(numbers(dtype, count, r), dtype) for r in (rank, before))
            # Rank 0 sends first, so that arrays of any size pass round.
            if rank == 0:
                mx.eval(mx.distributed.send(mine, after, group=group, stream=cpu))
            got = mx.distributed.recv_like(mine, before, group=group, stream=cpu)
            check(got, theirs, f"recv of {count} {dtype}")
            if rank != 0:
                mx.eval(mx.distributed.send(mine, after, group=group, stream=cpu))
    for sender in range(size):
        for receiver in range(size):
            value = mx.array([sender * 100 + receiver, 7], dtype=mx.int32)
            if rank == sender:
                mx.eval(mx.distributed.send(value, receiver, stream=cpu))
            if rank == receiver:
                got = mx.distributed.recv((2,), mx.int32, sender, stream=cpu)
                check(got, value, f"send from {sender} to {receiver}")


def small_messages_cross():
    """Both send before they receive, as MPI lets small messages do."""
    peer = rank ^ 1
    if peer >= size:
        return
    mine = mx.full((1000,), rank, dtype=mx.float32)
    mx.eval(mx.distributed.send(mine, peer, stream=cpu))
    check(mx.distributed.recv_like(mine, peer, stream=cpu), mine * 0 + peer, "crossing messages")


def splits():
    halves = group.split(rank // 2)
    members = [r for r in range(size) if r // 2 == rank // 2]
    assert (halves.rank(), halves.size()) == (members.index(rank), len(members))
    value = mx.array([float(rank), 1.0])
    for part, expected in ((halves, members), (group.split(0, size - rank), range(size))):
        got = mx.distributed.all_sum(value, group=part, stream=cpu)
        check(got, mx.array([float(sum(expected)), float(len(expected))]), "a split's sum")
    backwards = group.split(5, size - rank)
    assert backwards.rank() == size - 1 - rank
    got = mx.distributed.all_gather(mx.array([rank]), group=backwards, stream=cpu)
    check(got, mx.arange(size - 1, -1, -1), "a reversed split")
    for _ in range(30):  # freed while its last call may still be queued
        got = mx.distributed.all_sum(value, group=group.split(1), stream=cpu)
        check(got, mx.array([size * (size - 1) / 2.0, float(size)]), "a split of a moment")
    if len(members) == 2:
        inner = halves.split(halves.rank())
        assert inner.size() == 1


def several_streams():
    """Two streams at the same time, with a group each."""
    other = group.split(0)
    streams = [mx.new_stream(cpu), mx.new_stream(cpu)]
    for turn in range(50):
        results = []
        for which, (part, stream) in enumerate(zip((group, other), streams, strict=True)):
            value = mx.full((5000 * (which + 1),), float(rank + turn), dtype=mx.float32)
            results.append(mx.distributed.all_sum(value, group=part, stream=stream))
        mx.eval(results)
        expected = size * turn + size * (size - 1) / 2
        for result in results:
            check(result, mx.full(result.shape, expected, dtype=mx.float32), "two streams")


def gradients():
    got = nn.average_gradients({"w": mx.full((300,), float(rank)), "b": [mx.array([rank * 2.0])]})
    check(got["w"], mx.full((300,), (size - 1) / 2), "average_gradients")
    check(got["b"][0], mx.array([size - 1.0]), "average_gradients")


def many_in_one_eval():
    value = mx.full((4096,), 1.0, dtype=mx.bfloat16)
    for _ in range(200):
        value = mx.distributed.all_sum(value, stream=cpu) * (1 / size)
    expected = 1.0 if size & (size - 1) == 0 else float(value[0])
    check(value, mx.full((4096,), expected, dtype=mx.bfloat16), "200 in one eval")


def every_rank_has_the_same():
    """Sums of three and more roundings depend on the order, which must be the same everywhere."""
    for dtype in FLOATS:
        mine = to_mlx(numbers(dtype, 70_000, rank), dtype)
        total = mx.distributed.all_sum(mine, stream=cpu)
        digest = np.frombuffer(bits(total), np.uint8).astype(np.uint64)
        digest = int((digest * np.arange(1, len(digest) + 1, dtype=np.uint64)).sum())
        digests = mx.distributed.all_gather(mx.array([digest], dtype=mx.uint64), stream=cpu)
        check(digests, mx.full((size,), digest, dtype=mx.uint64), f"identical bits of {dtype}")


def large():
    count = 64 * 2**20
    value = mx.full((count,), float(rank + 1), dtype=mx.float32)
    total = mx.distributed.all_sum(value, stream=cpu)
    assert mx.all(total == size * (size + 1) / 2).item()
    first = mx.distributed.all_max(total * (rank + 1), stream=cpu)
    assert mx.all(first == size * size * (size + 1) / 2).item()


def refused():
    try:
        mx.eval(mx.distributed.sum_scatter(mx.zeros((size * 4,)), stream=cpu))
    except RuntimeError as error:
        assert "sum_scatter" in str(error), error
    else:
        raise AssertionError("sum_scatter is not implemented by MLX's mpi backend")
    check(mx.distributed.all_sum(mx.array(1), stream=cpu), mx.array(size), "the call after it")


if __name__ == "__main__":
    for part in (
        all_reduce,
        extremes,
        shapes,
        all_gather,
        send_and_receive,
        small_messages_cross,
        splits,
        several_streams,
        gradients,
        many_in_one_eval,
        every_rank_has_the_same,
        refused,
        *([large] if size == 2 else []),
    ):
        part()
        print(f"passed {part.__name__}")
    print(f"checks {checks}")
