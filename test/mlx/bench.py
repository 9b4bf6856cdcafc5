"""Latency of all_sum through MLX and tokens per second of sprout: our library, MLX's ring, Open MPI. All of them
run at the same time and take turns, so that a busy machine is busy for all; two ranks, each pinned to a core."""

import contextlib
import math
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import PROGRAMS, Ranks, clean_environment

SIZES = [4, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072]
ROUNDS = 31
TOKENS = 48
TOKEN_ROUNDS = 15


def libmpi():
    """Path of Open MPI's library, or None."""
    listing = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
    found = [line.split()[-1] for line in listing.splitlines() if "libmpi.so." in line]
    return found[0] if found and shutil.which("mpirun") else None


class Contender:
    """Two ranks that wait for orders."""

    def __init__(self, name, folder, stack, env=None, backend="espalier", mpirun=None):
        self.name, self.hung = name, False
        path = str(folder / f"{name.replace(' ', '-')}.sock")
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen()
        listener.settimeout(60)
        if mpirun:
            command = [*mpirun, sys.executable, PROGRAMS / "measured.py", path, "x"]
            process = subprocess.Popen(command, env=clean_environment() | {"BACKEND": "mpi"} | (env or {}))
            stack.callback(lambda: (process.terminate(), process.wait()))
        else:
            per_rank = [{"RANK": "0"}, {"RANK": "1"}]
            options = {"backend": backend, "env": env, "per_rank": per_rank}
            stack.enter_context(Ranks("measured.py", 2, path, "x", **options))
        self.ranks = []
        for _ in range(2):
            try:
                connection = stack.enter_context(listener.accept()[0])
                connection.settimeout(30)
            except TimeoutError:
                raise SystemExit(f"{name} did not start") from None
            self.ranks.append(connection.makefile("rw"))
            self.ranks[-1].readline()

    def ask(self, order):
        """NaN once it has hung, as MLX's ring does now and then (mlx#4475)."""
        if self.hung:
            return math.nan
        try:
            for rank in self.ranks:
                print(order, file=rank, flush=True)
            return statistics.mean([float(rank.readline()) for rank in self.ranks])
        except (TimeoutError, ValueError, BrokenPipeError):
            print(f"{self.name} gives no answer any more", file=sys.stderr)
            self.hung = True
            return math.nan


def contenders(folder, stack):
    yield Contender("ours, shm", folder, stack, {"ESPALIER_LINKS": "shm"})
    yield Contender("ours, tcp", folder, stack, {"ESPALIER_LINKS": "tcp"})
    yield Contender("MLX ring", folder, stack, backend="ring")
    library = libmpi()
    if library is None:
        return
    mpirun = ["mpirun", "--allow-run-as-root", "--bind-to", "none", "-np", "2", "--mca", "btl"]
    for name, components in (("Open MPI, shm", "vader,self"), ("Open MPI, tcp", "tcp,self")):
        options = {"mpirun": [*mpirun, components, "--mca", "pml", "ob1"], "env": {"MLX_MPI_LIBNAME": library}}
        yield Contender(name, folder, stack, **options)


def table(everyone, unit, rows, rounds, orders, digits):
    print(f"| {unit} | " + " | ".join(one.name for one in everyone) + " |")
    print("| --- |" + " ---: |" * len(everyone), flush=True)
    for row, order in zip(rows, orders, strict=True):
        for one in everyone:
            one.ask(order)
        taken = []
        for _ in range(rounds):
            # In another order each time, for each leaves the cores in a state of its own.
            answers = {one: one.ask(order) for one in random.sample(everyone, len(everyone))}
            taken.append([answers[one] for one in everyone])
        medians = [statistics.median(column) for column in zip(*taken, strict=True)]
        print(f"| {row} | " + " | ".join(f"{m:.{digits}f}" for m in medians) + " |", flush=True)


def readable(size):
    return f"{size} B" if size < 1024 else f"{size // 1024} KiB"


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="espalier-mlx-bench-"))
    try:
        with contextlib.ExitStack() as stack:
            everyone = list(contenders(folder, stack))
            print("\nµs per all_sum of bf16, 100 in a row in one eval; medians of alternating rounds\n")
            table(everyone, "all_sum", map(readable, SIZES), ROUNDS, [f"bytes {s}" for s in SIZES], 1)
            print("\nTokens per second of mlx-lm with sprout in float32 (12 all_sums of 1 KiB a token)\n")
            table(everyone, "decode", ["sprout"], TOKEN_ROUNDS, [f"tokens {TOKENS}"], 1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
