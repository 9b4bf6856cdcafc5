import type { Reason } from '../resources/reasons.ts';
import type { Prediction } from './prediction.ts';
import type { Shape } from './shapes.ts';
import type { Rejection } from './types.ts';

/** A rejection with what the verdict on the whole plan needs beside its text. */
export interface Refusal extends Rejection {
  reason: Reason;
  /** No node that comes back and no load that goes away can help. */
  terminal: boolean;
  /** For InsufficientMemory: by how much, to find the option that comes closest. */
  shortBytes?: number;
  /** Of a cut that was tried: which, with which engine, on which nodes. */
  shape?: Shape;
  engine?: string;
  /** Nodes with whole experts, where that is what was compared. */
  expertSize?: number;
  predicted?: Prediction;
  /** What it would have exchanged over, where that is what failed. */
  mode?: 'RDMA';
  nodeNames?: readonly string[];
}

export const toRejection = ({ option, reason, message }: Refusal): Rejection => ({
  option,
  reason,
  message,
});
