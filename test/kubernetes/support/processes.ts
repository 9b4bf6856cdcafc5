import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { root } from '../../../scripts/setup/step.ts';
import { freePort } from '../../../src/cli/quickstart/ports.ts';

/**
 * A free port that stays this server's while it is down between a kill and a restart: from below the ports that
 * the kernel gives to outgoing connections.
 */
export const restartablePort = async (): Promise<number> => {
  for (let attempt = 0; attempt < 100; attempt++) {
    const wanted = randomInt(20_000, 32_000);
    if ((await freePort(wanted)) === wanted) return wanted;
  }
  throw new Error('no free port between 20000 and 32000 in 100 attempts');
};

const restartDelayMs = 500;

/** A program that ends with this process, writes its output to a file, and can be killed and started again. */
export class RestartableProcess {
  readonly #program: string;
  readonly #args: string[];
  readonly #logFile: string;
  readonly #isSupervised: boolean;
  #child: ChildProcess | undefined;
  #isWanted = false;
  #exitCode: number | undefined;

  /** `isSupervised`: started again when it ends by itself, as a kubelet does. */
  constructor(program: string, args: string[], logFile: string, isSupervised = false) {
    this.#program = program;
    this.#args = args;
    this.#logFile = logFile;
    this.#isSupervised = isSupervised;
  }

  start(): void {
    this.#isWanted = true;
    if (this.running()) return;
    const log = openSync(this.#logFile, 'a');
    // Its standard input closes when this process is gone, and then it ends too.
    this.#child = spawn(this.#program, this.#args, { cwd: root, stdio: ['pipe', log, log] });
    // Writing to it is nobody's business, and its end breaks the pipe.
    this.#child.stdin?.on('error', () => undefined);
    closeSync(log);
    this.#child.once('exit', (code) => this.#ended(code));
  }

  #ended(code: number | null): void {
    if (!this.#isWanted) return;
    this.#exitCode = code ?? undefined;
    if (this.#isSupervised) setTimeout(() => this.#isWanted && this.start(), restartDelayMs);
  }

  running(): boolean {
    const child = this.#child;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** Of the last time that it ended by itself. */
  exitCode(): number | undefined {
    return this.#exitCode;
  }

  /** Resolves when it is gone. */
  async kill(): Promise<void> {
    this.#isWanted = false;
    const child = this.#child;
    if (child === undefined || !this.running()) return;
    await new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
      child.kill('SIGKILL');
    });
  }

  /** Asks it to end, and kills it if it has not after `graceMs`. */
  async end(graceMs: number): Promise<void> {
    this.#isWanted = false;
    this.#child?.kill('SIGTERM');
    const child = this.#child;
    if (child === undefined || !this.running()) return;
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
    await new Promise<void>((resolve) => child.once('exit', () => resolve()));
    clearTimeout(timer);
  }

  /** The end of its output, for the message of a test that failed. */
  lastLines(count = 20): string {
    if (this.#child === undefined) return '';
    return readFileSync(this.#logFile, 'utf8').split('\n').slice(-count).join('\n');
  }
}
