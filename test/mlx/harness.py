"""Starts ranks of a Python program over our library, MLX's ring or Open MPI, and ends them for sure."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).resolve().parent / "ranks"
SPROUT = ROOT / "examples/models/sprout"
SUFFIX = "dylib" if sys.platform == "darwin" else "so"
LIBRARY = ROOT / f"native/build/libespalier_mpi.{SUFFIX}"
# Compiled MLX functions would call the C++ compiler at run time.
BASE = {"HF_HUB_OFFLINE": "1", "MLX_DISABLE_COMPILE": "1", "PYTHONUNBUFFERED": "1", "SPROUT": str(SPROUT)}
# What a step that goes well may take on a machine with much else to do.
PATIENCE_S = 600
OURS = ("ESPALIER_", "OMPI_", "PMIX_", "MLX_")


def clean_environment():
    kept = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    return kept | BASE


class Ranks:
    """Processes of one program, one per rank; a context manager that kills what still runs."""

    def __init__(
        self, program, count, *args, backend="espalier", env=None, per_rank=None, pin=False
    ):
        self.folder = Path(tempfile.mkdtemp(prefix="espalier-mlx-"))
        self.processes, self.lines, self._readers = [], [[] for _ in range(count)], []
        self._changed = threading.Condition()
        command = [sys.executable, str(PROGRAMS / program), *map(str, args)]
        if not str(program).endswith(".py"):
            command = [sys.executable, "-m", program, *map(str, args)]
        environments = [clean_environment() | e | (env or {}) for e in self._backend(backend, count)]
        environments = [e | extra for e, extra in zip(environments, per_rank or [{}] * count, strict=True)]
        for rank, environment in enumerate(environments):
            pinned = ["taskset", "-c", str(rank % os.cpu_count())] if pin else []
            self._start(rank, pinned + command, environment)

    def _backend(self, backend, count):
        if backend == "ring":
            hosts = [[f"127.0.0.1:{port}"] for port in free_ports(count)]
            path = self.folder / "hosts.json"
            path.write_text(str(hosts).replace("'", '"'))
            return [
                {"BACKEND": "ring", "MLX_RANK": str(r), "MLX_HOSTFILE": str(path)} for r in range(count)
            ]
        common = {"BACKEND": "mpi", "MLX_MPI_LIBNAME": str(LIBRARY), "ESPALIER_SIZE": str(count)}
        common["ESPALIER_RENDEZVOUS"] = f"file:{self.folder}/meeting"  # unless env says otherwise
        return [common | {"ESPALIER_RANK": str(r)} for r in range(count)]

    def _start(self, rank, command, environment):
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Not a session each: Linux shares the cores out among sessions, and Open MPI's ranks are in one.
            preexec_fn=os.setpgrp,  # noqa: PLW1509
        )
        self.processes.append(process)
        reader = threading.Thread(target=self._read, args=(rank, process), daemon=True)
        reader.start()
        self._readers.append(reader)

    def _read(self, rank, process):
        for line in process.stdout:
            with self._changed:
                self.lines[rank].append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for reader in self._readers:
            reader.join(5)
        for process in self.processes:
            process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def text(self):
        return "\n".join(f"[{r}] {line}" for r, lines in enumerate(self.lines) for line in lines)

    def line(self, rank, start, seconds=PATIENCE_S):
        """The rest of the first line of `rank` that begins with `start`; waits for it."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                for line in self.lines[rank]:
                    if line.startswith(start):
                        return line[len(start) :].strip()
                if not self._readers[rank].is_alive() or time.monotonic() > deadline:
                    raise AssertionError(f"rank {rank} did not print {start!r}:\n{self.text()}")
                self._changed.wait(0.2)

    def ends(self, rank, seconds=PATIENCE_S):
        """The exit code of `rank`, which must end by itself within `seconds`."""
        try:
            code = self.processes[rank].wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"rank {rank} still runs after {seconds} s:\n{self.text()}") from None
        self._readers[rank].join(5)
        return code

    def succeed(self, seconds=PATIENCE_S):
        deadline = time.monotonic() + seconds
        for rank in range(len(self.processes)):
            code = self.ends(rank, max(1, deadline - time.monotonic()))
            if code != 0:
                raise AssertionError(f"rank {rank} ended with {code}:\n{self.text()}")
        return self


def run(program, count, *args, seconds=PATIENCE_S, **options):
    """Runs all ranks to their good end and returns their lines of output."""
    with Ranks(program, count, *args, **options) as ranks:
        return ranks.succeed(seconds).lines


def without_place():
    """Takes out of a rank's environment what the harness says of its place."""
    return {"ESPALIER_RANK": "", "ESPALIER_SIZE": "", "ESPALIER_RENDEZVOUS": ""}


def free_ports(count):
    """Ports that nobody listens on just now, below those that Linux and macOS give to connections of others."""
    ports = []
    for port in random.sample(range(12_000, 30_000), 1_000):
        with contextlib.suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            ports.append(port)
        if len(ports) == count:
            return ports
    raise AssertionError(f"not {count} free ports among a thousand")


class TestCase(unittest.TestCase):
    """Failures show the output of all ranks, which may be long."""

    maxDiff = None
