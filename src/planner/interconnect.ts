import type { EngineCapability } from '../catalogue/engine-capabilities.ts';
import type { ModelDeploymentSpec } from '../resources/types.ts';
import { hostOf } from './capacity.ts';
import { shapeLabel, worldSize } from './shapes.ts';
import type { Shape } from './shapes.ts';
import type { Refusal } from './refusal.ts';
import type { PlanNode } from './types.ts';

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

/** The mode that ranks on these nodes (nodes[rank]) exchange by, or why the wish cannot be met. */
export const chooseMode = (
  shape: Shape,
  nodes: readonly PlanNode[],
  { want }: Transport,
  engine: EngineCapability,
): { mode: 'None' | 'TCP' | 'RDMA' } | { refusal: Refusal } => {
  if (worldSize(shape) === 1) return { mode: 'None' };
  if (want === 'TCP') return { mode: 'TCP' };
  const engineHasRDMA = engine.interconnects.includes('RDMA');
  const gap = rdmaGap(shape, nodes);
  if (engineHasRDMA && !gap) return { mode: 'RDMA' };
  if (want === 'Auto') return { mode: 'TCP' };
  const option = `${shapeLabel(shape)} on ${nodes.map(({ name }) => name).join(', ')} over RDMA`;
  if (engineHasRDMA) {
    return { refusal: { option, reason: 'NoRDMAMesh', message: gap ?? '', terminal: false } };
  }
  return { refusal: { option, ...rdmaNotAvailable(engine, gap), terminal: true } };
};

export const rdmaNotAvailable = (
  engine: EngineCapability,
  gap?: string,
): Pick<Refusal, 'reason' | 'message'> => ({
  reason: 'NotAvailableYet',
  message: `engine ${engine.name} cannot exchange over RDMA yet${gap ? `, and ${gap}` : ''}: set spec.interconnect.mode to Auto or TCP, or let it fall back (spec.interconnect.fallback: Allow, TCP in spec.degradation.allow)`,
});

/** Undefined when every pair that exchanges has RDMA at both ends; else the first pair that has not, and why. */
export const rdmaGap = (shape: Shape, nodes: readonly PlanNode[]): string | undefined => {
  for (const [left, right] of exchangingPairs(shape)) {
    const a = nodes[left];
    const b = nodes[right];
    if (!a || !b || hostOf(a) === hostOf(b)) continue;
    const cause = halfGap(a, b) ?? halfGap(b, a);
    if (cause) return `${a.name} and ${b.name} have no RDMA link: ${cause}`;
  }
  return undefined;
};

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

/** What keeps `node` from RDMA to `peer`, as far as its own end shows. */
const halfGap = (node: PlanNode, peer: PlanNode): string | undefined => {
  if (!node.spec.linkPolicy.allowRDMA) return `${node.name} has spec.linkPolicy.allowRDMA: false`;
  const links = node.links.filter(({ peerNodeName }) => peerNodeName === peer.name);
  if (links.length === 0) return `${node.name} shows no link to ${peer.name}`;
  const cables = links.filter(({ type }) => type === 'Thunderbolt5');
  if (cables.length === 0) {
    const types = [...new Set(links.map(({ type }) => type))].toSorted().join(', ');
    return `${node.name} reaches ${peer.name} by ${types}, RDMA needs Thunderbolt5`;
  }
  if (!cables.some(({ up }) => up)) return `the cable from ${node.name} to ${peer.name} is down`;
  if (cables.some(({ up, rdma }) => up && rdma)) return undefined;
  return `${node.name} has RDMA disabled on its cable to ${peer.name}`;
};
