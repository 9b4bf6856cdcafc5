import { EspalierError, errorCatalogue, errorMessage } from '../../base/errors.ts';
import type { ErrorCode } from '../../base/errors.ts';
import { finishReasons } from '../../transport/types.ts';
import type { NativeEngine, NativeError, NativeRequest } from '../../transport/types.ts';

export interface GeneratedToken {
  token: number;
  /** Set on the last token. */
  finish: 'stop' | 'length' | undefined;
}

/** The tokens of one request as they come. Ends after the token with `finish`, or when cancelled; throws when the engine fails. */
export interface TokenStream extends AsyncIterable<GeneratedToken> {
  /** Ends the request on all ranks and the iteration here. */
  cancel(): void;
}

/** The requests that run on this rank 0's engine: hands each its tokens, and fails them all when the engine ends. */
export class TokenStreams {
  readonly #engine: Pick<NativeEngine, 'submit' | 'cancel'>;
  readonly #open = new Map<number, OpenStream>();
  readonly #stepWaiters = new Set<() => void>();

  constructor(engine: Pick<NativeEngine, 'submit' | 'cancel'>) {
    this.#engine = engine;
  }

  /** Requests that run or wait. */
  get size(): number {
    return this.#open.size;
  }

  /** Throws EngineNotReady, EngineOverloaded, ContextLengthExceeded or RequestInvalid. */
  submit(request: NativeRequest): TokenStream {
    let handle: number;
    try {
      handle = this.#engine.submit(request);
    } catch (error) {
      throw fromNative(error);
    }
    const stream = new OpenStream(() => {
      this.#open.delete(handle);
      this.#engine.cancel(handle);
    });
    this.#open.set(handle, stream);
    return stream;
  }

  /** Takes the `tokens` of a native token event. */
  deliver(triples: Int32Array): void {
    for (let index = 0; index + 2 < triples.length; index += 3) {
      const [handle, token, finish] = triples.subarray(index, index + 3) as unknown as Triple;
      this.#deliverOne(handle, token, finishReasons[finish]);
    }
    for (const wake of this.#stepWaiters) wake();
  }

  /** Fails every request; there are no more tokens. */
  failAll(error: EspalierError): void {
    for (const stream of this.#open.values()) stream.fail(error);
    this.#open.clear();
  }

  /** Resolves when the group has completed its next step; rejects with the signal's reason. */
  async nextStep(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const settle = () => {
        this.#stepWaiters.delete(settle);
        signal.removeEventListener('abort', settle);
        if (signal.aborted) reject(signal.reason as Error);
        else resolve();
      };
      this.#stepWaiters.add(settle);
      signal.addEventListener('abort', settle, { once: true });
    });
  }

  #deliverOne(handle: number, token: number, finish: (typeof finishReasons)[number]): void {
    const stream = this.#open.get(handle);
    if (!stream) return;
    if (finish !== undefined) this.#open.delete(handle);
    if (finish === 'error') {
      const message = 'The model gave numbers that are not finite. Check the weights.';
      stream.fail(new EspalierError('ModelOutputInvalid', message));
    } else {
      stream.push({ token, finish });
    }
  }
}

type Triple = [handle: number, token: number, finish: number];

class OpenStream implements TokenStream {
  readonly #onCancel: () => void;
  readonly #ready: GeneratedToken[] = [];
  #finished = false;
  #error: EspalierError | undefined;
  #wake: (() => void) | undefined;

  constructor(onCancel: () => void) {
    this.#onCancel = onCancel;
  }

  push(token: GeneratedToken): void {
    this.#ready.push(token);
    if (token.finish) this.#finished = true;
    this.#wake?.();
  }

  fail(error: EspalierError): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#error = error;
    this.#wake?.();
  }

  cancel(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#onCancel();
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<GeneratedToken, void, undefined> {
    try {
      for (;;) {
        yield* this.#ready.splice(0);
        if (this.#ready.length > 0) continue;
        if (this.#error) throw this.#error;
        if (this.#finished) return;
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      this.cancel();
    }
  }
}

/** The native error as one of the catalogue; a code that the catalogue does not know is a bug. */
export const fromNative = (error: unknown): EspalierError => {
  const native = error as Partial<NativeError>;
  const code: ErrorCode =
    typeof native.code === 'string' && native.code in errorCatalogue
      ? (native.code as ErrorCode)
      : 'Internal';
  const facts = {
    ...(native.rank === undefined ? {} : { rank: native.rank }),
    ...(native.link === undefined ? {} : { link: native.link }),
    ...(native.file === undefined ? {} : { file: native.file }),
  };
  return new EspalierError(code, errorMessage(error), facts, { cause: error });
};
