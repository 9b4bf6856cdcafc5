import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { execa } from 'execa';
import { EspalierError, errorMessage } from '../base/errors.ts';
import type { RankCommand } from './engine.ts';

export interface ProcessExit {
  exitCode?: number;
  signal?: string;
}

interface DetachedProcess {
  pid: number;
  exited: Promise<ProcessExit>;
}

/**
 * Starts a process that outlives us: own session and process group (its pid is its group), no pipe to us,
 * stdout and stderr appended to `logFile`. It gets `command.env` and nothing of ours but what any program
 * needs, so that no credential of the daemon reaches an engine. Throws RankNotStarted.
 *
 * node:child_process instead of execa, which hands a child no file descriptor above 9 and keeps the parent alive.
 */
export const startDetached = async (
  command: RankCommand,
  options: { workingDirectory: string; logFile: string },
): Promise<DetachedProcess> => {
  let log: number | undefined;
  try {
    log = openSync(options.logFile, 'a', 0o600);
    const child = spawn(command.file, command.args, {
      cwd: options.workingDirectory,
      env: { ...inheritedEnvironment(), ...command.env },
      detached: true,
      stdio: ['ignore', log, log],
    });
    const exited = new Promise<ProcessExit>((resolve) => {
      child.once('exit', (exitCode, signal) =>
        resolve({ ...(exitCode !== null && { exitCode }), ...(signal !== null && { signal }) }),
      );
    });
    await once(child, 'spawn');
    child.unref();
    return { pid: child.pid!, exited };
  } catch (error) {
    throw new EspalierError(
      'RankNotStarted',
      `could not start ${command.file}: ${errorMessage(error)}`,
      { file: command.file },
      { cause: error },
    );
  } finally {
    if (log !== undefined) closeSync(log);
  }
};

/** Stdout of a short command of the system, in the C locale. Throws when it fails or takes too long. */
export const runCommand = async (
  file: string,
  args: string[],
  { timeoutMs = 10_000 }: { timeoutMs?: number } = {},
): Promise<string> => {
  const { stdout } = await execa(file, args, {
    timeout: timeoutMs,
    // A child of the command would hold our pipe open beyond the deadline.
    killDescendants: true,
    env: { LC_ALL: 'C' },
    stdin: 'ignore',
  });
  return stdout;
};

const inheritedNames = /^(PATH|HOME|USER|LOGNAME|TMPDIR|LANG|LC_ALL|TZ|ESPALIER_.*)$/;

const inheritedEnvironment = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value !== undefined && inheritedNames.test(name) ? [[name, value] as const] : [],
    ),
  );
