/** The body of a watch: lines as they are pushed, until it ends, is cut, or the client gives up. */
export class LineStream implements AsyncIterable<Uint8Array> {
  readonly #signal: AbortSignal;
  readonly #onEnd: (() => void)[];
  #waiting: string[] = [];
  #isEnded = false;
  #cut: Error | undefined;
  #wake = Promise.withResolvers<void>();
  /** Half open: nothing comes any more, not even the end. */
  isSilent = false;

  constructor(signal: AbortSignal, onEnd: () => void) {
    this.#signal = signal;
    this.#onEnd = [onEnd];
    signal.addEventListener('abort', () => this.end(), { once: true });
  }

  onEnd(callback: () => void): void {
    this.#onEnd.push(callback);
  }

  push(line: string): void {
    this.#waiting.push(line);
    this.#wake.resolve();
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    for (const callback of this.#onEnd) callback();
    this.#wake.resolve();
  }

  /** What was pushed may be lost. */
  cut(error: Error): void {
    this.#cut = error;
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    for (;;) {
      this.#signal.throwIfAborted();
      if (this.#cut) throw this.#cut;
      if (this.#waiting.length > 0 && !this.isSilent) {
        yield Buffer.from(`${this.#waiting.splice(0).join('\n')}\n`);
      } else if (this.#isEnded && !this.isSilent) return;
      else {
        await this.#wake.promise;
        this.#wake = Promise.withResolvers();
      }
    }
  }
}
