import { createHash } from 'node:crypto';
import type { Clock } from '../../src/base/clock.ts';

/** What of a run is kept to be read; the digest is of all of it. */
const keptLines = 2000;

/** What happens in a run, line by line. Two runs of one seed have the same digest. */
export class Trace {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #hash = createHash('sha256');
  readonly #lines: string[] = [];
  /** Times that the nodes have taken a step. */
  step = 0;

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  get seconds(): string {
    return (this.#clock.monotonicMs() / 1000).toFixed(3);
  }

  note(text: string): void {
    const line = `step ${this.step} ${this.seconds} s  ${text}`;
    this.#hash.update(`${line}\n`);
    this.#lines.push(line);
    if (this.#lines.length > keptLines) this.#lines.shift();
  }

  /** Is part of the digest and is not shown. */
  noteUnseen(text: string): void {
    this.#hash.update(`${this.seconds} ${text}\n`);
  }

  digest(): string {
    return this.#hash.copy().digest('hex').slice(0, 16);
  }

  last(count: number): string[] {
    return this.#lines.slice(-count);
  }
}
