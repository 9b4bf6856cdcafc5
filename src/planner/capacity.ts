import { parseQuantityBytes } from '../base/quantity.ts';
import { compareText } from './eligibility.ts';
import type { PlanNode } from './types.ts';

const smallestReserveBytes = 2 ** 30;
const reserveShare = 0.1;
/** Over-full Macs fall from tens of tokens a second to a fraction of one: 420 of 512 GB gave 0.3 (ds4 issue 501). */
export const gpuShare = 0.8;

/** A node that may hold a rank, and what it has left. Nodes with one hostID draw on one memory. */
export interface Candidate {
  node: PlanNode;
  host: string;
  /** What is left on this node, seen alone and as part of its host. May be negative. */
  freeBytes: number;
  reserveBytes: number;
  headroomBytes: number;
  /** Kept beside a GPU engine. */
  spareBytes: number;
}

/** What a deployment asks to be left free. */
export interface Margins {
  memoryHeadroom: string;
  /** For engines on the GPU: at most 80 % of what it may wire. Not on nodes with spec.reservedMemory: the user says so. */
  sparesGPU: boolean;
}

export interface Capacity {
  candidates: Candidate[];
  /** Left on each host, over all of its nodes. */
  hostFreeBytes: Map<string, number>;
  /** Whether any host has several nodes. */
  sharesHosts: boolean;
}

/**
 * What each eligible node has left: memory − the operating system's reserve − the deployment's headroom (for
 * GPU engines at least a fifth of what can be wired) − what other deployments hold. A host's memory is the largest that any of its nodes claims; ranks on nodes
 * that are not eligible count as well.
 */
export const capacityOf = (
  allNodes: readonly PlanNode[],
  eligible: readonly PlanNode[],
  { memoryHeadroom, sparesGPU }: Margins,
): Capacity => {
  const headroomBytes = parseQuantityBytes(memoryHeadroom) ?? 0;
  const largest = new Map<string, number>();
  const used = new Map<string, number>();
  const all = new Map<PlanNode, Candidate>();
  for (const node of allNodes) {
    const host = hostOf(node);
    const reserveBytes = reserveBytesOf(node);
    const spareBytes = sparesGPU ? spareBytesOf(node, { reserveBytes, headroomBytes }) : 0;
    const usable = node.memoryBytes - reserveBytes - headroomBytes - spareBytes;
    largest.set(host, Math.max(largest.get(host) ?? -Infinity, usable));
    used.set(host, (used.get(host) ?? 0) + node.usedMemoryBytes);
    const freeBytes = usable - node.usedMemoryBytes;
    all.set(node, { node, host, freeBytes, reserveBytes, headroomBytes, spareBytes });
  }
  const hostFreeBytes = new Map<string, number>();
  for (const [host, bytes] of largest) hostFreeBytes.set(host, bytes - (used.get(host) ?? 0));
  const candidates = eligible.flatMap((node) => {
    const candidate = all.get(node);
    if (!candidate) return [];
    candidate.freeBytes = Math.min(candidate.freeBytes, hostFreeBytes.get(candidate.host) ?? 0);
    return [candidate];
  });
  const sharesHosts = largest.size < allNodes.length;
  return { candidates: candidates.toSorted(byRoom), hostFreeBytes, sharesHosts };
};

const spareBytesOf = (
  node: PlanNode,
  { reserveBytes, headroomBytes }: Pick<Candidate, 'reserveBytes' | 'headroomBytes'>,
): number => {
  if (node.spec.reservedMemory !== undefined) return 0;
  const wirable = node.memoryBytes - reserveBytes;
  return Math.max(0, Math.ceil(wirable * (1 - gpuShare)) - headroomBytes);
};

/** Most room first, then by name. */
export const byRoom = (a: Candidate, b: Candidate): number =>
  b.freeBytes - a.freeBytes || compareText(a.node.name, b.node.name);

/** Nodes that have not said which host they are on have one of their own. */
export const hostOf = (node: PlanNode): string =>
  node.hostID === '' ? `node/${node.name}` : `host/${node.hostID}`;

/** spec.reservedMemory, else a tenth of the memory and at least 1 GiB. */
export const reserveBytesOf = (node: Pick<PlanNode, 'spec' | 'memoryBytes'>): number => {
  const asked = node.spec.reservedMemory;
  const parsed = asked === undefined ? undefined : parseQuantityBytes(asked);
  return parsed ?? Math.max(smallestReserveBytes, Math.floor(node.memoryBytes * reserveShare));
};
