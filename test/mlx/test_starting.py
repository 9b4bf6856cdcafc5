"""How ranks find each other, and what is said when they cannot."""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from harness import LIBRARY, PATIENCE_S, Ranks, TestCase, clean_environment, free_ports, run


def say(program, **env):
    """Exit code and output of one rank."""
    environment = clean_environment() | {"MLX_MPI_LIBNAME": str(LIBRARY), **env}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return done.returncode, done.stdout + done.stderr


SIZE = "import mlx.core as mx; g = mx.distributed.init(backend='mpi'); print('size', g.size())"
STRICT = "import mlx.core as mx; mx.distributed.init(strict=True, backend='mpi')"
ANY = "import mlx.core as mx; mx.distributed.init(); print('size', mx.distributed.init().size())"


class Starting(TestCase):
    def test_without_configuration_there_is_no_group_and_an_explanation(self):
        for program in (SIZE, ANY):
            code, text = say(program)
            self.assertEqual(code, 0, text)
            self.assertIn("size 1", text)
            self.assertEqual(text.count("espalier launch --ranks 2"), 1, text)
            self.assertIn("ESPALIER_RENDEZVOUS=host:port", text)
        code, text = say(STRICT)
        self.assertIn("RuntimeError: Cannot initialize MPI", text)

    def test_what_is_missing_or_wrong_is_named(self):
        place = {"ESPALIER_RANK": "0", "ESPALIER_SIZE": "2"}
        there = place | {"ESPALIER_RENDEZVOUS": "127.0.0.1:1"}
        secret = there | {"ESPALIER_SECRET": "not-to-be-shown"}
        for env, pattern in (
            ({"ESPALIER_RANK": "0"}, "ESPALIER_SIZE is not set"),
            (place, "ESPALIER_RENDEZVOUS is not set"),
            (there, "neither ESPALIER_SECRET_FILE nor ESPALIER_SECRET is set"),
            (there | {"ESPALIER_SECRET_FILE": "/nowhere"}, "ESPALIER_SECRET_FILE: /nowhere cannot be read"),
            (secret | {"ESPALIER_RANK": "two"}, 'ESPALIER_RANK is "two"'),
            (secret | {"ESPALIER_RANK": "2"}, "rank is 2, must be 0 to 1"),
            (secret | {"ESPALIER_RENDEZVOUS": "nowhere"}, 'ESPALIER_RENDEZVOUS is "nowhere"'),
            (secret | {"ESPALIER_LINKS": "rope"}, 'ESPALIER_LINKS names "rope"'),
            (secret | {"ESPALIER_VERBS_CABLES": "rdma_en2"}, "as in 1=rdma_en2"),
            (secret | {"ESPALIER_LIVENESS_TIMEOUT_MS": "9000"}, "must be 100 to 2000"),
        ):
            code, text = say(SIZE, **env)
            self.assertNotEqual(code, 0, env)
            self.assertRegex(text, rf"RuntimeError: \[espalier\] InvalidArgument: .*{re.escape(pattern)}", env)
            self.assertNotIn("not-to-be-shown", text)

    def test_a_secret_that_others_may_read_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "secret"
            path.write_text("not-to-be-shown\n")
            path.chmod(0o644)
            env = {"ESPALIER_RANK": "0", "ESPALIER_SIZE": "2", "ESPALIER_RENDEZVOUS": "127.0.0.1:1"}
            code, text = say(SIZE, ESPALIER_SECRET_FILE=str(path), **env)
            self.assertNotEqual(code, 0)
            self.assertIn("set its mode to 600", text)

    def test_a_missing_rank_is_named(self):
        env = {"ESPALIER_RANK": "0", "ESPALIER_SIZE": "2", "ESPALIER_RENDEZVOUS_TIMEOUT_MS": "300"}
        (port,) = free_ports(1)
        env |= {"ESPALIER_SECRET": "s", "ESPALIER_RENDEZVOUS": f"127.0.0.1:{port}"}
        code, text = say(SIZE, **env)
        self.assertNotEqual(code, 0)
        self.assertRegex(text, "RendezvousTimeout: after 300 ms still missing of 2 ranks: 1")

    def test_over_an_address_with_a_secret_from_a_file(self):
        (port,) = free_ports(1)
        with tempfile.TemporaryDirectory() as folder:
            secret = Path(folder) / "secret"
            secret.write_text("of this group\n")
            secret.chmod(0o600)
            env = {
                "ESPALIER_RENDEZVOUS": f"localhost:{port}",
                "ESPALIER_SECRET_FILE": str(secret),
                "ESPALIER_EPOCH": "7",
                "ESPALIER_STATS": "1",
            }
            lines = run("sum.py", 3, env=env)
            for rank in range(3):
                self.assertIn("sum 3.0", lines[rank])
                self.assertRegex("\n".join(lines[rank]), rf"espalier: rank {rank}: allReduce [0-9]+ calls")

    def test_the_announcement_of_a_dead_rank_is_passed_over(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "meeting"
            path.write_text(f"1 {'0' * 64}\n")
            path.chmod(0o600)
            lines = run("sum.py", 2, env={"ESPALIER_RENDEZVOUS": f"file:{path}"})
            self.assertEqual([["sum 1.0"]] * 2, lines)
            self.assertEqual(os.listdir(folder), [])

    @unittest.skipUnless(sys.platform == "linux", "ldconfig is Linux's")
    def test_an_unrelated_open_mpi_in_the_same_process(self):
        listing = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True)
        found = [line.split()[-1] for line in listing.stdout.splitlines() if "libmpi.so." in line]
        if not found:
            self.skipTest("Open MPI is not installed")
        with Ranks("sum.py", 2, env={"LD_PRELOAD": found[0]}) as ranks:
            ranks.succeed()
            self.assertEqual([["sum 1.0"]] * 2, ranks.lines)

    def test_exactly_the_abi_is_exported(self):
        listing = subprocess.run(["nm", "-D", "--defined-only", LIBRARY], capture_output=True, text=True, check=True)
        names = [line.split()[-1] for line in listing.stdout.splitlines()]
        self.assertEqual(len(names), 30)
        self.assertTrue(all(name.startswith(("MPI_", "ompi_mpi_")) for name in names), names)
