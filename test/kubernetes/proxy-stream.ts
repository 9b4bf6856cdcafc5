import type { Random } from '../../src/base/random.ts';
import type { StreamFault } from './proxy-faults.ts';

export interface Sink {
  write(text: string): void;
  /** A clean end. */
  end(): void;
  /** As if the cable were pulled out: RST, no end. */
  cut(): void;
}

const holdMs = 30;

/**
 * Passes the lines of a watch on, some twice and some swapped, until its end comes. A line that waits to be swapped
 * waits 30 ms at most, and a cut never comes between two that are swapped: no client could notice that.
 */
export class FaultyLines {
  readonly #fault: StreamFault;
  readonly #random: Random;
  readonly #sink: Sink;
  #rest = '';
  #count = 0;
  #held: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(fault: StreamFault, random: Random, sink: Sink) {
    this.#fault = fault;
    this.#random = random;
    this.#sink = sink;
  }

  push(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) this.#line(line);
  }

  end(): void {
    if (this.#isOver) return;
    this.#release();
    this.#isOver = true;
    this.#sink.end();
  }

  dispose(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  #line(line: string): void {
    if (this.#isOver) return;
    if (this.#fault.end && this.#count >= this.#fault.end.afterLines) return this.#finish(line);
    this.#count += 1;
    if (this.#held === undefined && this.#random() < this.#fault.reorder) {
      this.#held = line;
      this.#timer = setTimeout(() => this.#release(), holdMs);
      return undefined;
    }
    const isTwice = this.#random() < this.#fault.duplicate;
    // One write: swapped lines arrive together or not at all.
    const held = this.#takeHeld();
    this.#sink.write(`${[line, ...held, ...(isTwice ? [line] : [])].join('\n')}\n`);
    return undefined;
  }

  #release(): void {
    const held = this.#takeHeld();
    if (held.length > 0 && !this.#isOver) this.#sink.write(`${held[0]}\n`);
  }

  #takeHeld(): string[] {
    clearTimeout(this.#timer);
    const held = this.#held;
    this.#held = undefined;
    return held === undefined ? [] : [held];
  }

  #finish(line: string): void {
    this.#release();
    this.dispose();
    const { sink, fault } = { sink: this.#sink, fault: this.#fault };
    switch (fault.end!.how) {
      case 'close':
        return sink.end();
      case 'cut':
        return sink.cut();
      case 'cut-line':
        sink.write(line.slice(0, Math.floor(line.length / 2)));
        return sink.cut();
      case 'garbage':
        sink.write(`${line.slice(0, -3)}}{\n`);
        return undefined;
      case 'gone':
        sink.write(
          `${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' } })}\n`,
        );
        return undefined;
      case 'silence':
        return undefined;
    }
  }
}
