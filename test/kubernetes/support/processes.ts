import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { root } from '../../../scripts/setup/step.ts';

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
