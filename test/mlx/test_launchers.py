"""Programs that start ranks, and what their variables tell the library."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from harness import (
    LIBRARY,
    PATIENCE_S,
    PROGRAMS,
    ROOT,
    Ranks,
    TestCase,
    clean_environment,
    free_ports,
    run,
    without_place,
)

SUM = [sys.executable, PROGRAMS / "sum.py"]


def output(command, **env):
    """What a launcher and its ranks print, when all goes well."""
    done = subprocess.run(
        command,
        env=clean_environment() | {"MLX_MPI_LIBNAME": str(LIBRARY), **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout.splitlines()


class Launchers(TestCase):
    def test_espalier_launch(self):
        command = [ROOT / "node_modules/.bin/node", ROOT / "src/cli/main.ts", "launch", "--ranks", "2", "--", *SUM]
        self.assertEqual(sorted(output(command)), ["[0] sum 1.0", "[1] sum 1.0"])

    @unittest.skipUnless(shutil.which("mpirun"), "Open MPI is not installed")
    def test_a_real_mpirun_on_one_host(self):
        with tempfile.TemporaryDirectory() as folder:
            command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-np", "3", *SUM]
            self.assertEqual(output(command, XDG_RUNTIME_DIR=folder), ["sum 3.0"] * 3)
            self.assertEqual([name for name in os.listdir(folder) if "espalier" in name], [])

    def test_mlx_launch_on_one_host(self):
        """As it is without --backend, for its ring; the shell between shows that its ranks need not be its children."""
        launch = Path(sys.executable).with_name("mlx.launch")
        with tempfile.TemporaryDirectory() as folder:
            command = [launch, "-n", "3", "--env", f"MLX_MPI_LIBNAME={LIBRARY}", "--"]
            command += ["sh", "-c", '"$@"; exit $?', "-", *SUM]
            self.assertEqual(output(command, XDG_RUNTIME_DIR=folder), ["sum 3.0"] * 3)
            self.assertEqual(os.listdir(folder), [])

    def test_mlx_launch_on_several_hosts(self):
        """Here each is this one, at an address that does not look like it."""
        ports = free_ports(2)
        with tempfile.TemporaryDirectory() as folder:
            hosts = Path(folder) / "hosts.json"
            hosts.write_text(json.dumps([[f"[::ffff:127.0.0.1]:{port}", "10.0.0.9:1"] for port in ports]))
            env = without_place() | {"MLX_HOSTFILE": str(hosts), "ESPALIER_SECRET": "of this group"}
            lines = run("sum.py", 2, env=env, per_rank=[{"MLX_RANK": str(rank)} for rank in range(2)])
            self.assertEqual(lines, [["sum 1.0"]] * 2)

    def test_mpich_s_mpirun_by_its_variables(self):
        env = without_place() | {"PMI_SIZE": "3", "MPI_LOCALNRANKS": "3", "XDG_RUNTIME_DIR": "/nowhere"}
        lines = run("sum.py", 3, env=env, per_rank=[{"PMI_RANK": str(rank)} for rank in range(3)])
        self.assertEqual(lines, [["sum 3.0"]] * 3)

    def test_what_a_launcher_left_out_is_asked_for(self):
        several = "has started ranks on several hosts: set ESPALIER_RENDEZVOUS"
        with tempfile.TemporaryDirectory() as folder:
            hosts = Path(folder) / "hosts.json"
            hosts.write_text('[["10.0.0.1:1"], "10.0.0.2:1"]')
            for env, expected in (
                ({"PMI_RANK": "0", "PMI_SIZE": "4", "MPI_LOCALNRANKS": "2"}, f"MPICH's mpirun {several}"),
                ({"PMI_RANK": "0"}, "PMI_RANK is set, but not PMI_SIZE"),
                ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}, f"Open MPI's mpirun {several}"),
                ({"MLX_RANK": "0", "MLX_HOSTFILE": str(hosts)}, "is no list of lists of addresses"),
                ({"MLX_RANK": "0", "MLX_HOSTFILE": "/nowhere"}, "MLX_HOSTFILE: /nowhere cannot be read"),
            ):
                with Ranks("sum.py", 1, env=without_place() | env) as group:
                    self.assertNotEqual(group.ends(0), 0)
                    self.assertIn(expected, group.text())
