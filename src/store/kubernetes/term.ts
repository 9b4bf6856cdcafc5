import { EspalierError } from '../../base/errors.ts';

/**
 * The time during which this process, and no other, is the control plane. It begins when the Lease is taken and
 * ends for good: whoever loses it ends the process.
 */
export interface Term {
  epoch: number;
  /** Aborted with EpochFenced when the term is over. Every write goes out under it. */
  signal: AbortSignal;
}

export const termOver = (epoch: number, why: string): EspalierError =>
  new EspalierError('EpochFenced', `epoch ${epoch} of this control plane is over: ${why}`, {
    epoch,
  });
