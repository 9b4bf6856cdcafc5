"""What every rank program begins with: the group, and a way to compare with numpy bit by bit."""

import os

import mlx.core as mx
import numpy as np

group = mx.distributed.init(strict=True, backend=os.environ.get("BACKEND", "mpi"))
rank, size = group.rank(), group.size()


def bits(array):
    """The bytes of an array, whatever its type."""
    mx.eval(array)
    if array.dtype == mx.bfloat16:
        array = array.view(mx.uint16)
    return np.array(array).tobytes()


def same_bits(got, expected, what):
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    assert got.dtype == expected.dtype, f"{what}: {got.dtype}, expected {expected.dtype}"
    if bits(got) == bits(expected):
        return
    raise AssertionError(f"{what} on rank {rank}: {got}, expected {expected}")


def tree(parts, combine):
    """Combines in the order that the transport promises: the left half holds the largest power of two."""
    if len(parts) == 1:
        return parts[0]
    half = 1 << ((len(parts) - 1).bit_length() - 1)
    return combine(tree(parts[:half], combine), tree(parts[half:], combine))
