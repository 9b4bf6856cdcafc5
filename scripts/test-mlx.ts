/**
 * `npm run test:mlx`: unmodified MLX and mlx-lm from PyPI over libespalier_mpi. Makes a virtual environment in
 * .cache/mlx-venv (again when test/mlx/requirements.txt changes), runs test/mlx/, then prints the table of latencies beside
 * MLX's ring and Open MPI, which Debian has. What is missing is installed with apt-get when that is possible.
 *   npm run test:mlx                                everything
 *   npm run test:mlx -- test_failures test_server   only these modules, no table
 *   npm run test:mlx -- --bench                     only the table
 */
import { join } from 'node:path';
import { ensure, succeeds } from './setup/apt.ts';
import { runStep } from './setup/step.ts';
import { ensureVenv } from './setup/venv.ts';

const names = process.argv.slice(2);
const venv = ensureVenv('mlx-venv', 'test/mlx/requirements.txt');
if (venv === undefined) {
  throw new Error('python3 with venv is needed: install python3 and python3-venv.');
}
const python = join(venv, 'bin/python');
const hasMpirun = (): boolean => succeeds('mpirun', ['--version']);
if (!ensure(hasMpirun, ['openmpi-bin', 'libopenmpi3'])) {
  process.stderr.write('NOT TESTED: Open MPI is not installed (openmpi-bin, libopenmpi3).\n');
}
const isBenchOnly = names.includes('--bench');
if (names.length === 0 || isBenchOnly) {
  runStep('MLX over the transport: latencies', python, ['test/mlx/bench.py']);
}
if (!isBenchOnly) {
  runStep('MLX over the transport', python, ['test/mlx/run_tests.py', ...names]);
}
