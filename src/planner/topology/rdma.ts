import type { MachineFacts } from '../../catalogue/facts.ts';
import { hostOf } from '../capacity.ts';
import { isMac } from '../eligibility.ts';
import type { PlanNode } from '../types.ts';

/** One end of a cable: a node, and what the catalogue knows of the machine that it is. */
export interface End {
  node: PlanNode;
  machine?: MachineFacts;
}

/** RDMA over Thunderbolt came with this macOS (Apple TN3205). */
const firstMacOS = { major: 26, minor: 2 };

/** Most peers of a JACCL mesh, for machines whose ports the catalogue does not know. */
const mostPeers = 8;

/** Ports of this end that RDMA may use, one for each peer. */
export const rdmaPortsOf = ({ machine }: End): number =>
  Math.min(machine?.rdmaPorts ?? mostPeers, mostPeers);

/** Why these two have no RDMA between them, by the first thing that is missing; undefined when they have. */
export const rdmaGapBetween = (left: End, right: End): string | undefined => {
  if (hostOf(left.node) === hostOf(right.node)) return undefined;
  const cause = halfGap(left, right.node) ?? halfGap(right, left.node);
  return cause && `${left.node.name} and ${right.node.name} have no RDMA link: ${cause}`;
};

/** What keeps `end` from RDMA to `peer`, as far as its own side shows. */
const halfGap = (end: End, peer: PlanNode): string | undefined =>
  endGap(end) ?? cableGap(end.node, peer);

/** What keeps this end from RDMA to anybody. */
export const endGap = ({ node, machine }: End): string | undefined => {
  if (!node.spec.linkPolicy.allowRDMA) return `${node.name} has spec.linkPolicy.allowRDMA: false`;
  if (machine?.rdmaPorts === 0) {
    return `${node.name} is a ${machine.marketingName} with ${machine.thunderbolt}, RDMA needs Thunderbolt5`;
  }
  if ((machine || isMac(node)) && isOlder(node.osVersion)) {
    return `${node.name} has macOS ${node.osVersion}, RDMA needs ${firstMacOS.major}.${firstMacOS.minor} or later`;
  }
  return undefined;
};

/** False for a version that is not known: it is assumed to be recent enough, and explanations say so. */
const isOlder = (version: string): boolean => {
  if (version === '') return false;
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major < firstMacOS.major || (major === firstMacOS.major && minor < firstMacOS.minor);
};

const cableGap = (node: PlanNode, peer: PlanNode): string | undefined => {
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
