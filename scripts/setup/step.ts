import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

export interface StepOptions {
  /** Added to the environment. */
  env?: Record<string, string>;
  /** The step is killed, and has failed, after this long. 0: never. */
  deadlineMs?: number;
  /** Exit codes that do not end the run; the caller judges them. */
  alsoFine?: number[];
  /** Seconds before each further try of a step that failed, but not of one that was killed. */
  pausesSeconds?: number[];
}

/** A registry may be away for a moment; for steps that go on where they were. */
export const registryPausesSeconds = [10, 30];

/** Runs one step of a check under its title and says how long it took. Ends the process if it fails. */
export const runStep = (
  title: string,
  file: string,
  args: string[],
  { env = {}, deadlineMs = 0, alsoFine = [], pausesSeconds = [] }: StepOptions = {},
): number => {
  const startedMs = performance.now();
  process.stderr.write(`\n== ${title}\n`);
  const { status, signal, error } = spawnSync(file, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
    timeout: deadlineMs,
    killSignal: 'SIGKILL',
  });
  if (status === null || (status !== 0 && !alsoFine.includes(status))) {
    process.stderr.write(`${title} failed: ${error?.message ?? signal ?? `exit ${status}`}\n`);
    const [pauseSeconds, ...further] = pausesSeconds;
    if (pauseSeconds === undefined || status === null) process.exit(status ?? 1);
    process.stderr.write(`${title}: tried again in ${pauseSeconds} s\n`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseSeconds * 1000);
    return runStep(title, file, args, { env, deadlineMs, alsoFine, pausesSeconds: further });
  }
  process.stderr.write(`${title}: ${((performance.now() - startedMs) / 1000).toFixed(1)} s\n`);
  return status;
};
