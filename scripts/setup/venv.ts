import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensure, succeeds } from './apt.ts';
import { registryPausesSeconds, root, runStep } from './step.ts';

const installDeadlineMs = 10 * 60_000;

const hasVenv = (): boolean => succeeds('python3', ['-c', 'import venv, ensurepip']);

/**
 * The folder of a Python virtual environment with what a requirements file names, in .cache/, made anew when the file
 * changes. Undefined: there is no python3 with venv, and it cannot be installed from here.
 */
export const ensureVenv = (name: string, requirements: string): string | undefined => {
  const venv = join(root, '.cache', name);
  const python = join(venv, 'bin/python');
  const stamp = join(venv, '.requirements');
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, requirements)))
    .digest('hex');
  const isMade = existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;
  if (isMade && succeeds(python, ['--version'])) return venv;
  if (!ensure(hasVenv, ['python3', 'python3-venv'])) return undefined;
  rmSync(venv, { recursive: true, force: true });
  runStep(`Making .cache/${name}`, 'python3', ['-m', 'venv', venv]);
  const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
  runStep(`Installing ${requirements} from PyPI`, python, [...install, '-r', requirements], {
    deadlineMs: installDeadlineMs,
    pausesSeconds: registryPausesSeconds,
  });
  writeFileSync(stamp, wanted);
  return venv;
};
