import { EspalierError } from '../../base/errors.ts';
import type { Transport } from './transport.ts';

/**
 * The time during which this process, and no other, is the control plane. It begins when the Lease is taken and
 * ends for good: whoever loses it ends the process.
 */
export interface Term {
  epoch: number;
  /** Aborted with EpochFenced when the term is over. Every write goes out under it. */
  signal: AbortSignal;
}

/**
 * Sends nothing once the term is over. A process that was stopped for a while runs what fell due in the order in
 * which it did, so that a retry may come before the end of the term is noticed.
 */
export const underTerm =
  (transport: Transport, term: Pick<Term, 'signal'>): Transport =>
  async (request) => {
    term.signal.throwIfAborted();
    return transport(request);
  };

export const termOver = (epoch: number, why: string): EspalierError =>
  new EspalierError('EpochFenced', `epoch ${epoch} of this control plane is over: ${why}`, {
    epoch,
  });
