import type { EngineFacts } from '../catalogue/facts.ts';
import type { ModelDeploymentSpec } from '../resources/types.ts';
import { interconnectsOf } from './engine-limits.ts';
import { shapeLabel, worldSize } from './shapes.ts';
import type { Shape } from './shapes.ts';
import type { Refusal } from './refusal.ts';
import { rdmaGapBetween } from './topology/rdma.ts';
import type { End } from './topology/rdma.ts';
import type { Plan } from './types.ts';

/** One way to carry the exchange, in the order they are tried. */
export interface Transport {
  want: 'Auto' | 'RDMA' | 'TCP';
  /** Taken only because RDMA, which was asked for, cannot be had. */
  degraded: boolean;
}

/** RDMA falls back to TCP only if both interconnect.fallback and the degradation ladder say so. */
export const transportsOf = ({
  interconnect: { mode, fallback },
  degradation,
}: ModelDeploymentSpec): Transport[] => {
  const asked: Transport = { want: mode, degraded: false };
  const mayFallBack = mode === 'RDMA' && fallback === 'Allow' && degradation.allow.includes('TCP');
  return mayFallBack ? [asked, { want: 'TCP', degraded: true }] : [asked];
};

/** The mode that ranks on these nodes (ends[rank]) exchange by, or why the wish cannot be met. */
export const chooseMode = (
  shape: Shape,
  ends: readonly End[],
  { want }: Transport,
  engine: EngineFacts,
): { mode: 'None' | 'TCP' | 'RDMA' } | { refusal: Refusal } => {
  if (worldSize(shape) === 1) return { mode: 'None' };
  if (want === 'TCP') return { mode: 'TCP' };
  const engineHasRDMA = interconnectsOf(engine, shape).includes('RDMA');
  const gap = rdmaGap(shape, ends);
  if (engineHasRDMA && !gap) return { mode: 'RDMA' };
  if (want === 'Auto') return { mode: 'TCP' };
  const option = `${shapeLabel(shape)} on ${ends.map(({ node }) => node.name).join(', ')} over RDMA`;
  if (engineHasRDMA) {
    return { refusal: { option, reason: 'NoRDMAMesh', message: gap ?? '', terminal: false } };
  }
  return { refusal: { option, ...rdmaNotAvailable(engine, gap), terminal: true } };
};

export const rdmaNotAvailable = (
  engine: EngineFacts,
  gap?: string,
): Pick<Refusal, 'reason' | 'message'> => ({
  reason: 'NotAvailableYet',
  message: `engine ${engine.name} cannot exchange over RDMA yet${gap ? `, and ${gap}` : ''}: set spec.interconnect.mode to Auto or TCP, or let it fall back (spec.interconnect.fallback: Allow, TCP in spec.degradation.allow)`,
});

/** Undefined when every pair that exchanges has RDMA at both ends; else the first pair that has not, and why. */
export const rdmaGap = (shape: Shape, ends: readonly End[]): string | undefined => {
  for (const [left, right] of exchangingPairs(shape)) {
    const [a, b] = [ends[left], ends[right]];
    const gap = a && b && rdmaGapBetween(a, b);
    if (gap !== undefined) return gap;
  }
  return undefined;
};

/** Pairs of ranks that a plan over RDMA has RDMA between. */
export const rdmaPairs = ({
  tensorSize,
  pipelineSize,
  hopMode,
}: Pick<Plan, 'tensorSize' | 'pipelineSize' | 'hopMode'>): [number, number][] =>
  exchangingPairs({ tensorSize, pipelineSize }).filter(
    ([left, right]) => hopMode !== 'TCP' || right - left < tensorSize,
  );

/** All pairs of a stage's tensor ranks, and each rank with its counterpart on the next stage. */
const exchangingPairs = ({ tensorSize, pipelineSize }: Shape): [number, number][] => {
  const pairs: [number, number][] = [];
  for (let stage = 0; stage < pipelineSize; stage += 1) {
    for (let tensorRank = 0; tensorRank < tensorSize; tensorRank += 1) {
      const rank = stage * tensorSize + tensorRank;
      for (let peer = tensorRank + 1; peer < tensorSize; peer += 1) {
        pairs.push([rank, stage * tensorSize + peer]);
      }
      if (stage + 1 < pipelineSize) pairs.push([rank, rank + tensorSize]);
    }
  }
  return pairs;
};
