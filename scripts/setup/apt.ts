import { spawnSync } from 'node:child_process';
import { runStep } from './step.ts';

const deadlineMs = 10 * 60_000;
/** A mirror may be away for a moment, and another program may hold the lock. */
const patience = ['-o', 'Acquire::Retries=3', '-o', 'DPkg::Lock::Timeout=120'];

/** Whether the command ends with exit code 0. Its output is dropped. */
export const succeeds = (file: string, args: string[], input = ''): boolean =>
  spawnSync(file, args, { input, stdio: ['pipe', 'ignore', 'ignore'] }).status === 0;

const apt = (args: string[]): void => {
  runStep(`apt-get ${args.join(' ')}`, 'apt-get', ['-q', ...patience, ...args], {
    env: { DEBIAN_FRONTEND: 'noninteractive' },
    deadlineMs,
    alsoFine: [100],
  });
};

/** Whether `works` holds, after installing `packages` if it did not at first and this is root on a Debian. */
export const ensure = (works: () => boolean, packages: string[]): boolean => {
  if (works()) return true;
  if (process.getuid?.() !== 0 || !succeeds('apt-get', ['--version'])) return false;
  apt(['update']);
  apt(['install', '-y', '--no-install-recommends', ...packages]);
  return works();
};
