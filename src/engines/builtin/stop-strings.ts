/**
 * Cuts text before the first stop string. Text that may be the beginning of one is held back, so that no part
 * of a stop string is ever written, wherever the pieces are cut.
 */
export class StopStrings {
  readonly #stops: readonly string[];
  #held = '';

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /** The text that can be written now; `stopped`: a stop string came, and nothing after it counts. */
  push(piece: string): { text: string; stopped: boolean } {
    const text = this.#held + piece;
    const found = this.#stops.map((stop) => text.indexOf(stop)).filter((index) => index >= 0);
    if (found.length > 0) {
      this.#held = '';
      return { text: text.slice(0, Math.min(...found)), stopped: true };
    }
    const safeLength = text.length - this.#possibleStart(text);
    this.#held = text.slice(safeLength);
    return { text: text.slice(0, safeLength), stopped: false };
  }

  /** What was held back, now that no more text comes. */
  flush(): string {
    const text = this.#held;
    this.#held = '';
    return text;
  }

  /** Length of the longest end of `text` that a stop string begins with. */
  #possibleStart(text: string): number {
    const longest = Math.max(0, ...this.#stops.map((stop) => stop.length - 1));
    for (let length = Math.min(longest, text.length); length > 0; length -= 1) {
      const end = text.slice(-length);
      if (this.#stops.some((stop) => stop.startsWith(end))) return length;
    }
    return 0;
  }
}
