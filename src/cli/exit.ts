/** What a script can tell from `$?`. Documented in docs/cli.md. */
export const exitCodes = {
  success: 0,
  failure: 1,
  usage: 2,
  invalidInput: 3,
  doesNotFit: 4,
  notFound: 5,
  inProgress: 6,
  stalled: 7,
  refused: 8,
} as const;

/** Ends the command with a code and one clear sentence on stderr, without a stack. */
export class CommandFailure extends Error {
  readonly exitCode: number;

  constructor(exitCode: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}
