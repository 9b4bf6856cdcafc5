import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { errorMessage } from '../../base/errors.ts';

/** For the last output of a process that has ended. */
const drainMs = 1_000;

export interface RankEnd {
  rank: number;
  /** As a shell would give it. */
  code: number;
  /** "ended with code 3". */
  how: string;
}

/** One started rank in a process group of its own, so that what it starts in turn ends with it. */
export class RankProcess {
  readonly ended: Promise<RankEnd>;
  readonly #child: ChildProcess;

  constructor(
    rank: number,
    [file = '', ...args]: readonly string[],
    env: NodeJS.ProcessEnv,
    prefix: boolean,
  ) {
    const output = prefix ? 'pipe' : 'inherit';
    const input = rank === 0 ? 'pipe' : 'ignore';
    this.#child = spawn(file, args, { env, stdio: [input, output, output], detached: true });
    if (this.#child.stdin) {
      // A program that does not read, or ends early, is no failure of ours.
      this.#child.stdin.on('error', () => undefined);
      process.stdin.pipe(this.#child.stdin);
    }
    if (this.#child.stdout) passOn(this.#child.stdout, process.stdout, rank);
    if (this.#child.stderr) passOn(this.#child.stderr, process.stderr, rank);
    this.ended = this.#end(rank, file);
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#child.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, signal);
      if (signal !== 'SIGKILL') process.kill(-this.#child.pid, 'SIGCONT');
    } catch {
      // It is gone already.
    }
  }

  async #end(rank: number, file: string): Promise<RankEnd> {
    const closed = new Promise((resolve) => this.#child.once('close', resolve));
    try {
      await once(this.#child, 'exit');
    } catch (error) {
      return { rank, code: 127, how: `could not be started: ${file}: ${errorMessage(error)}` };
    }
    // What it started must not outlive it, nor keep its output open.
    this.signal('SIGKILL');
    const timer = new AbortController();
    const drained = delay(drainMs, undefined, { signal: timer.signal }).catch(() => undefined);
    await Promise.race([closed, drained]);
    timer.abort();
    const { exitCode, signalCode } = this.#child;
    if (signalCode === null)
      return { rank, code: exitCode ?? 1, how: `ended with code ${exitCode}` };
    return { rank, code: 128 + constants.signals[signalCode], how: `was ended by ${signalCode}` };
  }
}

const passOn = (from: Readable, to: Writable, rank: number): void => {
  createInterface({ input: from, crlfDelay: Infinity }).on('line', (line) =>
    to.write(`[${rank}] ${line}\n`),
  );
};
