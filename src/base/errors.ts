/**
 * The error catalogue: one entry per code, keys sorted. `kind` decides what a controller does:
 * `terminal` waits for the user, `waiting` looks again after a while, `retry` backs off and tries again.
 * Every code is documented in docs/errors.md; a test ties the two together.
 */
export const errorCatalogue = {
  Internal: { kind: 'retry', summary: 'A bug: an invariant of Espalier did not hold.' },
} as const satisfies Record<string, { kind: ErrorKind; summary: string }>;

export type ErrorKind = 'terminal' | 'waiting' | 'retry';
export type ErrorCode = keyof typeof errorCatalogue;
export type Facts = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

/**
 * The one error class. `message` says what was expected, what came, where, and what to do;
 * `facts` carries the same as fields (file, line, node, rank, bytes, …). Never a secret, never a prompt.
 */
export class EspalierError extends Error {
  readonly code: ErrorCode;
  readonly facts: Facts;

  constructor(code: ErrorCode, message: string, facts: Facts = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EspalierError';
    this.code = code;
    this.facts = facts;
  }

  get kind(): ErrorKind {
    return errorCatalogue[this.code].kind;
  }
}

/** The catalogue's kind for Espalier's own errors; everything else is worth a retry. */
export const errorKind = (error: unknown): ErrorKind =>
  error instanceof EspalierError ? error.kind : 'retry';

export const errorMessage = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
