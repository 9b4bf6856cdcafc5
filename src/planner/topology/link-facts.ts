import type { Catalogue, LinkFacts } from '../../catalogue/facts.ts';
import { hostOf } from '../capacity.ts';
import type { Topology, Wire } from './topology.ts';

/** Ethernet of a machine that the catalogue does not know. */
const unknownEthernetGbps = 1;
/** Nodes that can all be cabled to each other: more have some pair that only the network joins. */
const mostCabled = 9;

/** Facts of the ways that nodes, told by their index, exchange by. */
export interface LinkTable {
  /** Of the slowest pair; undefined when the catalogue has no facts for one of them. */
  slowest: (
    pairs: readonly (readonly [number, number])[],
    mode: 'TCP' | 'RDMA',
  ) => LinkFacts | undefined;
  /** Of the slowest Ethernet among these. */
  network: (nodes: readonly number[]) => LinkFacts | undefined;
  /** As slowest, for all pairs among these. */
  slowestAmong: (nodes: readonly number[], mode: 'TCP' | 'RDMA') => LinkFacts | undefined;
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
  const slowest: LinkTable['slowest'] = (pairs, mode) => {
    if (mode === 'RDMA') return rdma;
    let worst: LinkFacts | undefined;
    for (const [left, right] of pairs) {
      const link = between(left, right);
      if (!link) return undefined;
      if (link !== worst && (!worst || isSlower(link, worst))) worst = link;
    }
    return worst;
  };
  const network: LinkTable['network'] = (nodes) =>
    overTCP('Ethernet', Math.min(...nodes.map((node) => gbps[node] ?? 0)));
  const slowestAmong: LinkTable['slowestAmong'] = (nodes, mode) => {
    if (mode === 'RDMA') return rdma;
    if (nodes.length > mostCabled) return network(nodes);
    return slowest(
      nodes.flatMap((left, index) => nodes.slice(index + 1).map((right) => [left, right] as const)),
      mode,
    );
  };
  return { slowest, network, slowestAmong };
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

export const slowestOf = (links: readonly LinkFacts[]): LinkFacts | undefined =>
  links.reduce<LinkFacts | undefined>(
    (worst, link) => (!worst || isSlower(link, worst) ? link : worst),
    undefined,
  );

const isSlower = (a: LinkFacts, b: LinkFacts): boolean =>
  a.hopMicroseconds === b.hopMicroseconds
    ? a.bandwidthGBps < b.bandwidthGBps
    : a.hopMicroseconds > b.hopMicroseconds;
