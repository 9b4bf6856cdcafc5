export type Decode = (tokens: readonly number[]) => string;

/** What a decoder writes for bytes that are not (or not yet) a character. */
const replacement = '\uFFFD';
/** Longest that text is held back for: no character has more bytes. More are bytes that will never be text. */
const maxHeldTokens = 16;
/** Tokens of the prompt that decide how the first generated token is written (a leading space, for instance). */
const contextTokens = 5;

/**
 * Turns tokens into text one at a time, in constant time each. The pieces joined are the text of the whole;
 * a character whose bytes come in several tokens is held back until it is complete.
 */
export class Detokenizer {
  readonly #decode: Decode;
  /** Tokens before #read are written already; those before them are context for the decoder. */
  #window: number[];
  #read: number;

  constructor(decode: Decode, promptTokens: readonly number[] = []) {
    this.#decode = decode;
    this.#window = promptTokens.slice(-contextTokens);
    this.#read = this.#window.length;
  }

  /** The text that this token completes, often a word, sometimes nothing. */
  push(token: number): string {
    this.#window.push(token);
    const text = this.#pending();
    const incomplete = text === '' || text.endsWith(replacement);
    if (incomplete && this.#window.length - this.#read < maxHeldTokens) return '';
    this.#window = this.#window.slice(this.#read);
    this.#read = this.#window.length;
    return text;
  }

  /** What is still held back, now that no more tokens come. */
  flush(): string {
    return this.#pending();
  }

  #pending(): string {
    const written = this.#decode(this.#window.slice(0, this.#read));
    return this.#decode(this.#window).slice(written.length);
  }
}
