import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Runs one step of a test command with its output shown; ends the whole command when the step fails. */
export const runStep = (title: string, file: string, args: string[]): void => {
  const startedMs = performance.now();
  process.stderr.write(`\n== ${title}\n`);
  const { status, signal, error } = spawnSync(file, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) {
    process.stderr.write(`${title} failed: ${error?.message ?? signal ?? `exit ${status}`}\n`);
    process.exit(status ?? 1);
  }
  process.stderr.write(`${title}: ${((performance.now() - startedMs) / 1000).toFixed(1)} s\n`);
};
