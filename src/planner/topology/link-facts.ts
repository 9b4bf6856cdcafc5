import type { Catalogue, LinkFacts } from '../../catalogue/facts.ts';
import { hostOf } from '../capacity.ts';
import type { Topology, Wire } from './topology.ts';

/** Ethernet of a machine that the catalogue does not know. */
const unknownEthernetGbps = 1;
/** Nodes that can all be cabled to each other: more have some pair that only the network joins. */
const mostCabled = 9;

/** Facts of the ways that ranks exchange by. `nodes[rank]` is the index of a node, of `tensorSize` ranks to a stage. */
export interface LinkTable {
  /** Of the slowest pair within a stage; undefined when the catalogue has no facts for one of them. */
  withinStages: (
    nodes: readonly number[],
    tensorSize: number,
    mode: 'TCP' | 'RDMA',
  ) => LinkFacts | undefined;
  /** As withinStages, for each rank and its counterpart on the next stage. */
  betweenStages: (
    nodes: readonly number[],
    tensorSize: number,
    mode: 'TCP' | 'RDMA',
  ) => LinkFacts | undefined;
  /** Of the slowest Ethernet among these. */
  network: (nodes: readonly number[]) => LinkFacts | undefined;
}

export const createLinkTable = (
  links: Catalogue['links'],
  { ends, cables }: Topology,
): LinkTable => {
  const rdma = links.find(({ type, mode }) => type === 'Thunderbolt5' && mode === 'RDMA');
  const hosts = ends.map(({ node }) => hostOf(node));
  const gbps = ends.map(({ machine }) => machine?.ethernetGbps ?? unknownEthernetGbps);
  const overTCP = createTCPFacts(links);
  const between = (left: number, right: number): LinkFacts | undefined => {
    if (hosts[left] === hosts[right]) return overTCP('SharedHost', Infinity);
    const wire = cables[left]?.get(right) ?? 'Ethernet';
    const rate = wire === 'Ethernet' ? Math.min(gbps[left] ?? 0, gbps[right] ?? 0) : Infinity;
    return overTCP(wire, rate);
  };
  const network: LinkTable['network'] = (nodes) => {
    let least = Infinity;
    for (const node of nodes) least = Math.min(least, gbps[node] ?? 0);
    return overTCP('Ethernet', least);
  };
  /** Of each rank with the later ones that it exchanges with: every `step`th, up to `end` of its own. */
  const slowest = (
    nodes: readonly number[],
    { step, end }: { step: number; end: (rank: number) => number },
  ): LinkFacts | undefined => {
    let worst: LinkFacts | undefined;
    for (let rank = 0; rank < nodes.length; rank += 1) {
      const last = Math.min(end(rank), nodes.length);
      for (let other = rank + step; other < last; other += step) {
        const link = between(nodes[rank] ?? 0, nodes[other] ?? 0);
        if (!link) return undefined;
        if (link !== worst && (!worst || isSlower(link, worst))) worst = link;
      }
    }
    return worst;
  };
  const withinStages: LinkTable['withinStages'] = (nodes, tensorSize, mode) => {
    if (mode === 'RDMA') return rdma;
    if (tensorSize > mostCabled) return network(nodes);
    return slowest(nodes, { step: 1, end: (rank) => rank - (rank % tensorSize) + tensorSize });
  };
  const betweenStages: LinkTable['betweenStages'] = (nodes, tensorSize, mode) =>
    mode === 'RDMA'
      ? rdma
      : slowest(nodes, { step: tensorSize, end: (rank) => rank + tensorSize + 1 });
  return { withinStages, betweenStages, network };
};

/** The fastest entry that the wire's rate allows, else the slowest of that wire. */
const createTCPFacts = (
  links: Catalogue['links'],
): ((wire: Wire, gbps: number) => LinkFacts | undefined) => {
  const byWire = Map.groupBy(
    links.filter(({ mode }) => mode === 'TCP').toSorted((a, b) => b.linkGbps - a.linkGbps),
    ({ type }) => type,
  );
  return (wire, gbps) => {
    const ofWire = byWire.get(wire);
    return ofWire?.find(({ linkGbps }) => linkGbps <= gbps) ?? ofWire?.at(-1);
  };
};

const isSlower = (a: LinkFacts, b: LinkFacts): boolean =>
  a.hopMicroseconds === b.hopMicroseconds
    ? a.bandwidthGBps < b.bandwidthGBps
    : a.hopMicroseconds > b.hopMicroseconds;
