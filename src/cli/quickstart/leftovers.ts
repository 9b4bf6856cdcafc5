import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { runCommand } from '../../engines/process.ts';
import { CommandFailure, exitCodes } from '../exit.ts';

/** Remembers a service's process, for a quickstart that comes after this one was killed. */
export const rememberProcess = (pidFile: string, pid: number): void =>
  writeFileSync(pidFile, String(pid));

/**
 * Ends the process that an earlier, killed quickstart left, if it still runs and is what it was: a process
 * whose command line has `mark`. Throws CommandFailure when it does not end within `timeoutMs`.
 */
export const stopLeftover = async (
  pidFile: string,
  mark: string,
  timeoutMs: number,
): Promise<void> => {
  const pid = readPid(pidFile);
  if (pid === undefined || !(await commandLine(pid)).includes(mark)) return;
  process.kill(pid, 'SIGTERM');
  const deadlineMs = performance.now() + timeoutMs;
  while ((await commandLine(pid)).includes(mark)) {
    if (performance.now() > deadlineMs) {
      throw new CommandFailure(
        exitCodes.failure,
        `process ${pid} of an earlier quickstart does not end; kill -9 ${pid} and try again`,
      );
    }
    await sleep(100);
  }
  rmSync(pidFile, { force: true });
};

/** Pids of all processes, of services and ranks alike, that have a path inside `workspace` on their command line. */
export const processesIn = async (workspace: string): Promise<number[]> =>
  (await runCommand('ps', ['-A', '-ww', '-o', 'pid=,command=']))
    .split('\n')
    .filter((line) => line.includes(`${workspace}/`))
    .map((line) => Number.parseInt(line, 10));

const readPid = (pidFile: string): number | undefined => {
  try {
    return Number(readFileSync(pidFile, 'utf8')) || undefined;
  } catch {
    return undefined;
  }
};

/** Empty when there is no such process. */
const commandLine = async (pid: number): Promise<string> =>
  runCommand('ps', ['-ww', '-o', 'command=', '-p', String(pid)]).catch(() => '');
