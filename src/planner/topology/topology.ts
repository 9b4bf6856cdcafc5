import type { LinkFacts } from '../../catalogue/facts.ts';
import { hostOf } from '../capacity.ts';
import type { PlanNode } from '../types.ts';
import { maximalMeshes } from './cliques.ts';
import { endGap, rdmaGapBetween, rdmaPortsOf } from './rdma.ts';
import type { End } from './rdma.ts';

/** Nodes that RDMA connects, directly or through each other. A node without RDMA is an island of its own. */
export interface Island {
  /** Indexes of nodes, ascending. */
  members: readonly number[];
  form: 'Single' | 'FullMesh' | 'Ring' | 'PartialMesh';
  /** Its maximal full meshes of two nodes and more: where tensor ranks can exchange directly. */
  meshes: readonly (readonly number[])[];
}

/**
 * Who can exchange with whom, over what. Nodes are told by their index in the list it was made from. All nodes
 * reach each other over the network; cables add to that.
 */
export interface Topology {
  ends: readonly End[];
  /** Nodes that each node has RDMA to, ascending. */
  rdmaPeers: readonly (readonly number[])[];
  islands: readonly Island[];
  /** The first of those with the most nodes. */
  largestIsland: Island | undefined;
  /** islandOf[node] is its island's index. */
  islandOf: readonly number[];
  /** Maximal full meshes of Thunderbolt cables, whether they can do RDMA or not. */
  cableMeshes: readonly (readonly number[])[];
  /** Nodes that Thunderbolt cables connect, but not all to all: rings, chains. */
  openCables: readonly (readonly number[])[];
  /** cables[node].get(peer): what a Thunderbolt cable between them carries packets as. */
  cables: readonly ReadonlyMap<number, Wire>[];
}

export type Wire = LinkFacts['type'];

/**
 * The graph of cables: RDMA where both ends can, allow and show it, on as many ports as the machine has.
 * Linear in nodes and links. Nodes must be sorted by name: where cables are more than ports, the first by
 * name of the peer are taken.
 */
export const createTopology = (ends: readonly End[]): Topology => {
  const rdmaPeers = peersByRDMA(ends);
  const { islandOf, components } = componentsOf(rdmaPeers);
  const meshesOf = components.map((): number[][] => []);
  for (const mesh of maximalMeshes(rdmaPeers)) {
    meshesOf[islandOf[mesh[0] ?? 0] ?? 0]?.push(mesh);
  }
  const islands = components.map((members, island) => ({
    members,
    form: formOf(members, rdmaPeers),
    meshes: meshesOf[island] ?? [],
  }));
  const largestIsland = islands.reduce<Island | undefined>(
    (largest, island) =>
      island.members.length > (largest?.members.length ?? 0) ? island : largest,
    undefined,
  );
  const cablePeers = peersByCable(ends);
  const cables = cablePeers.map(
    (peers, index) => new Map(peers.map((peer) => [peer, wireAt(ends, index, peer)])),
  );
  const openCables = componentsOf(cablePeers).components.filter((members) =>
    ['Ring', 'PartialMesh'].includes(formOf(members, cablePeers)),
  );
  const cableMeshes = maximalMeshes(cablePeers);
  return {
    ends,
    rdmaPeers,
    islands,
    largestIsland,
    islandOf,
    cableMeshes,
    openCables,
    cables,
  };
};

const wireAt = (ends: readonly End[], left: number, right: number): Wire => {
  const [a, b] = [ends[left], ends[right]];
  return a && b ? wireBetween(a, b) : 'Ethernet';
};

/** Most cables of a node that count: no Mac has more ports. */
const mostCables = 8;

/** One end's word is enough for packets. */
const peersByCable = (ends: readonly End[]): number[][] => {
  const indexOf = new Map(ends.map(({ node }, index) => [node.name, index]));
  const peers = ends.map(() => new Set<number>());
  for (const [index, { node }] of ends.entries()) {
    for (const { type, up, peerNodeName } of node.links) {
      const peer = indexOf.get(peerNodeName);
      if (!up || peer === undefined || peer === index || !type.startsWith('Thunderbolt')) continue;
      const [own, other] = [peers[index], peers[peer]];
      if (!own || !other || isSameHost(ends, index, peer)) continue;
      if (!own.has(peer) && Math.max(own.size, other.size) >= mostCables) continue;
      own.add(peer);
      other.add(index);
    }
  }
  return peers.map((list) => [...list].toSorted((a, b) => a - b));
};

const peersByRDMA = (ends: readonly End[]): number[][] => {
  const indexOf = new Map(ends.map(({ node }, index) => [node.name, index]));
  const shown = ends.map((end) => cablesOf(end, indexOf));
  const ports = ends.map(rdmaPortsOf);
  const peers = ends.map((): number[] => []);
  for (const [index, cables] of shown.entries()) {
    for (const peer of cables) {
      if (peer <= index || !shown[peer]?.has(index) || isSameHost(ends, index, peer)) continue;
      const own = peers[index];
      const others = peers[peer];
      if (!own || !others) continue;
      if (own.length >= (ports[index] ?? 0) || others.length >= (ports[peer] ?? 0)) continue;
      own.push(peer);
      others.push(index);
    }
  }
  return peers.map((list) => list.toSorted((a, b) => a - b));
};

/** Peers to which this end shows a cable that does RDMA, ascending. */
const cablesOf = (end: End, indexOf: ReadonlyMap<string, number>): Set<number> => {
  if (end.node.links.length === 0 || endGap(end) !== undefined) return new Set();
  const peers = end.node.links.flatMap(({ type, rdma, up, peerNodeName }) => {
    const peer = indexOf.get(peerNodeName);
    return type === 'Thunderbolt5' && rdma && up && peer !== undefined ? [peer] : [];
  });
  return new Set(peers.toSorted((a, b) => a - b));
};

const isSameHost = (ends: readonly End[], left: number, right: number): boolean => {
  const a = ends[left];
  const b = ends[right];
  return a !== undefined && b !== undefined && hostOf(a.node) === hostOf(b.node);
};

const componentsOf = (
  peers: readonly (readonly number[])[],
): { islandOf: number[]; components: number[][] } => {
  const islandOf = peers.map(() => -1);
  const components: number[][] = [];
  for (const start of peers.keys()) {
    if (islandOf[start] !== -1) continue;
    const island = components.length;
    const members = [start];
    islandOf[start] = island;
    for (const node of members) {
      for (const peer of peers[node] ?? []) {
        if (islandOf[peer] !== -1) continue;
        islandOf[peer] = island;
        members.push(peer);
      }
    }
    components.push(members.toSorted((a, b) => a - b));
  }
  return { islandOf, components };
};

const formOf = (
  members: readonly number[],
  peers: readonly (readonly number[])[],
): Island['form'] => {
  const degree = (node: number): number => peers[node]?.length ?? 0;
  if (members.length === 1) return 'Single';
  if (members.every((node) => degree(node) === members.length - 1)) return 'FullMesh';
  return members.every((node) => degree(node) === 2) ? 'Ring' : 'PartialMesh';
};

/** Why two nodes have no RDMA; undefined when they have, or are on one host. */
export const rdmaGapOf = (topology: Topology, left: number, right: number): string | undefined => {
  const a = topology.ends[left];
  const b = topology.ends[right];
  if (!a || !b) return undefined;
  if (topology.rdmaPeers[left]?.includes(right)) return undefined;
  return rdmaGapBetween(a, b) ?? portsGap(topology, a, b, left, right);
};

const portsGap = (
  { rdmaPeers, ends }: Topology,
  a: End,
  b: End,
  left: number,
  right: number,
): string | undefined => {
  if (hostOf(a.node) === hostOf(b.node)) return undefined;
  const [full, index] = (rdmaPeers[left]?.length ?? 0) >= rdmaPortsOf(a) ? [a, left] : [b, right];
  const taken = (rdmaPeers[index] ?? []).map((peer) => ends[peer]?.node.name).join(', ');
  return `${a.node.name} and ${b.node.name} have no RDMA link: ${full.node.name} has ${rdmaPortsOf(full)} ports for RDMA, taken by ${taken}`;
};

/** Thunderbolt cables that were declared or seen and cannot do RDMA, each with the reason: one per pair. */
export const namedGaps = (topology: Topology): string[] => {
  const { ends } = topology;
  const indexOf = new Map(ends.map(({ node }, index) => [node.name, index]));
  const gaps = ends.flatMap(({ node }, index) =>
    node.links.flatMap(({ type, peerNodeName }) => {
      const peer = indexOf.get(peerNodeName);
      if (!type.startsWith('Thunderbolt')) return [];
      if (peer === undefined) {
        return [`${node.name} has a cable to ${peerNodeName}, which is not a node of this fleet`];
      }
      return rdmaGapOf(topology, Math.min(index, peer), Math.max(index, peer)) ?? [];
    }),
  );
  return [...new Set(gaps)].toSorted();
};

/**
 * What packets between two nodes travel on, without RDMA: their host's memory, the better cable that either
 * end shows, no better than the ports of both, else the network.
 */
export const wireBetween = (left: End, right: End): Wire => {
  if (hostOf(left.node) === hostOf(right.node)) return 'SharedHost';
  const types = [...typesTo(left.node, right.node), ...typesTo(right.node, left.node)];
  const cables = (['Thunderbolt5', 'Thunderbolt4', 'Thunderbolt3'] as const).filter((type) =>
    types.includes(type),
  );
  if (cables.length === 0) return 'Ethernet';
  const known = [left.machine?.thunderbolt, right.machine?.thunderbolt, cables[0]].flatMap(
    (type) => type ?? [],
  );
  return known.toSorted()[0] ?? 'Ethernet';
};

const typesTo = ({ links }: PlanNode, peer: PlanNode): string[] =>
  links.flatMap(({ peerNodeName, type, up }) => (peerNodeName === peer.name && up ? [type] : []));
