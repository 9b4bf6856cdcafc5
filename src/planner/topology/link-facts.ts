import type { Catalogue, LinkFacts } from '../../catalogue/facts.ts';
import type { End } from './rdma.ts';
import { wireBetween } from './topology.ts';

/** Ethernet of a machine that the catalogue does not know. */
const unknownEthernetGbps = 1;

/** Facts of the way two nodes exchange by in this mode; undefined when the catalogue has none for it. */
export const linkFactsBetween = (
  links: Catalogue['links'],
  left: End,
  right: End,
  mode: 'TCP' | 'RDMA',
): LinkFacts | undefined => {
  if (mode === 'RDMA')
    return links.find(({ type, mode: of }) => type === 'Thunderbolt5' && of === mode);
  const wire = wireBetween(left, right);
  const gbps = wire === 'Ethernet' ? Math.min(ethernetGbps(left), ethernetGbps(right)) : Infinity;
  const tcp = links.filter(({ type, mode: of }) => type === wire && of === 'TCP');
  const byRate = tcp.toSorted((a, b) => b.linkGbps - a.linkGbps);
  return byRate.find(({ linkGbps }) => linkGbps <= gbps) ?? byRate.at(-1);
};

const ethernetGbps = ({ machine }: End): number => machine?.ethernetGbps ?? unknownEthernetGbps;

/** The one that holds up an exchange in which all take part. */
export const slowestLink = (links: readonly LinkFacts[]): LinkFacts | undefined =>
  links.toSorted(
    (a, b) =>
      b.hopMicroseconds - a.hopMicroseconds ||
      a.bandwidthGBps - b.bandwidthGBps ||
      a.linkGbps - b.linkGbps,
  )[0];
