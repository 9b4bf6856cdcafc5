import { AssertionError } from 'node:assert/strict';

/** What users are promised, in the words of a failing line. */
export type Promised =
  | 'no duplicate group'
  | 'no orphan'
  | 'no lost intent'
  | 'no false Ready'
  | 'no hang'
  | 'no memory given twice'
  | 'no two leaders'
  | 'no word of a stale leader'
  | 'no group beyond spec'
  | 'no fewer groups than promised'
  | 'no unjust eviction'
  | 'no wait above lower priorities'
  | 'no room left unused'
  | 'no endless evictions'
  | 'no dishonest condition'
  | 'no idle write';

export class BrokenPromise extends Error {
  readonly promised: Promised;

  constructor(promised: Promised, message: string) {
    super(`${promised}: ${message}`);
    this.promised = promised;
  }
}

/** Runs assertions; what they throw is this promise, broken. */
export const holds = (promised: Promised, assertions: () => void): void => {
  try {
    assertions();
  } catch (error) {
    if (!(error instanceof AssertionError)) throw error;
    throw new BrokenPromise(promised, error.message.split('\n')[0] ?? '');
  }
};
