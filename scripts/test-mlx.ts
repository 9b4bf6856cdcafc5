/**
 * `npm run test:mlx`: unmodified MLX and mlx-lm from PyPI over libespalier_mpi. Makes a virtual environment in
 * .cache/mlx-venv (again when test/mlx/requirements.txt changes), runs test/mlx/, then prints the table of latencies beside
 * MLX's ring and Open MPI, which Debian has. What is missing is installed with apt-get when that is possible.
 *   npm run test:mlx                                everything
 *   npm run test:mlx -- test_failures test_server   only these modules, no table
 *   npm run test:mlx -- --bench                     only the table
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runStep } from './setup/step.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const venv = `${root}.cache/mlx-venv`;
const python = `${venv}/bin/python`;
const requirements = `${root}test/mlx/requirements.txt`;

const works = (file: string, ...args: string[]): boolean =>
  spawnSync(file, args, { stdio: 'ignore' }).status === 0;

/** False when it is not there and cannot be installed from here. */
const ensurePackage = (isThere: () => boolean, ...packages: string[]): boolean => {
  if (isThere()) return true;
  if (process.getuid?.() !== 0 || !works('apt-get', '--version')) return false;
  runStep('Updating the list of packages', 'apt-get', ['update', '-qq']);
  const install = ['install', '-qqy', '--no-install-recommends', ...packages];
  runStep(`Installing ${packages.join(', ')}`, 'apt-get', install);
  return isThere();
};

const ensureVenv = (): void => {
  const stamp = `${venv}/.requirements`;
  const wanted = createHash('sha256').update(readFileSync(requirements)).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && works(python, '--version')) {
    return;
  }
  const hasVenv = (): boolean => works('python3', '-c', 'import venv, ensurepip');
  if (!ensurePackage(hasVenv, 'python3', 'python3-venv')) {
    throw new Error('python3 with venv is needed: install python3 and python3-venv.');
  }
  rmSync(venv, { recursive: true, force: true });
  runStep('Making .cache/mlx-venv', 'python3', ['-m', 'venv', venv]);
  const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
  runStep('Installing MLX from PyPI', python, [...install, '-r', requirements]);
  writeFileSync(stamp, wanted);
};

const names = process.argv.slice(2);
ensureVenv();
const hasMpirun = (): boolean => works('mpirun', '--version');
if (!ensurePackage(hasMpirun, 'openmpi-bin', 'libopenmpi3')) {
  process.stderr.write('NOT TESTED: Open MPI is not installed (openmpi-bin, libopenmpi3).\n');
}
const isBenchOnly = names.includes('--bench');
if (names.length === 0 || isBenchOnly) {
  runStep('MLX over the transport: latencies', python, ['test/mlx/bench.py']);
}
if (!isBenchOnly) {
  runStep('MLX over the transport', python, ['test/mlx/run_tests.py', ...names]);
}
