import type { Catalogue, ChipFacts, MachineFacts } from '../catalogue/facts.ts';
import { resolveMachine } from '../catalogue/resolve-machine.ts';
import { hostOf } from './capacity.ts';
import { compareText } from './eligibility.ts';
import { createLinkTable } from './topology/link-facts.ts';
import type { LinkTable } from './topology/link-facts.ts';
import { createTopology } from './topology/topology.ts';
import type { End } from './topology/rdma.ts';
import type { Topology } from './topology/topology.ts';
import type { PlannedRank, PlanNode } from './types.ts';

/** What predictions tell machines apart by. */
export interface Kind {
  /** Counts up from the slowest memory. */
  id: number;
  chip: ChipFacts;
  machine?: MachineFacts;
}

/** A node as search sees it, told by its index in order of name. */
export interface Seat extends End {
  index: number;
  host: string;
  island: number;
  /** Groups of other deployments that hold memory here; one for what the input says is used. */
  groups: number;
  /** Absent where nothing can be predicted: an unknown chip, or a host that several nodes share. */
  kind?: Kind;
}

/** A fleet, prepared once for the search of many plans. Its nodes are copies: `reserve` changes what they hold. */
export interface Inventory {
  catalogue: Catalogue;
  seats: readonly Seat[];
  seatOf: ReadonlyMap<string, Seat>;
  kinds: readonly Kind[];
  topology: Topology;
  links: LinkTable;
  seatsOnHost: ReadonlyMap<string, readonly Seat[]>;
  islands: IslandUse;
  /** Indexes of seats whose memory or whose island's use changed since the start, in order. */
  touched: number[];
}

/** Which islands are whole: none of their nodes holds anything. Nodes that are lost count as well. */
export interface IslandUse {
  isWhole: boolean[];
  /** Islands with the same form and kinds of machines have the same make. */
  makes: readonly string[];
  /** The islands of a make that are whole. */
  wholes: Map<string, Set<number>>;
}

/** O(n log n) in nodes, linear in links. */
export const createInventory = (nodes: readonly PlanNode[], catalogue: Catalogue): Inventory => {
  const sorted = nodes.toSorted((a, b) => compareText(a.name, b.name)).map((node) => ({ ...node }));
  const nodesOnHost = new Map<string, number>();
  for (const node of sorted) {
    nodesOnHost.set(hostOf(node), (nodesOnHost.get(hostOf(node)) ?? 0) + 1);
  }
  const find = createResolver(catalogue);
  const found = sorted.map(find);
  const ends = sorted.map((node, index): End => {
    const machine = found[index]?.machine;
    return { node, ...(machine ? { machine } : {}) };
  });
  const kinds = sortKinds(found.filter((kind) => kind !== undefined));
  const kindOf = new Map(kinds.map((kind) => [keyOf(kind), kind]));
  const topology = topologyOf(ends);
  const seats = ends.map((end, index): Seat => {
    const host = hostOf(end.node);
    const resolved = found[index];
    const kind = resolved && nodesOnHost.get(host) === 1 ? kindOf.get(keyOf(resolved)) : undefined;
    const island = topology.islandOf[index] ?? 0;
    const groups = end.node.usedMemoryBytes > 0 ? 1 : 0;
    return { ...end, index, host, island, groups, ...(kind ? { kind } : {}) };
  });
  const seatOf = new Map(seats.map((seat) => [seat.node.name, seat]));
  return {
    catalogue,
    seats,
    seatOf,
    kinds,
    topology,
    links: createLinkTable(catalogue.links, topology),
    seatsOnHost: Map.groupBy(seats, ({ host }) => host),
    islands: islandUse(seats, topology),
    touched: [],
  };
};

/**
 * Cables change seldom, what nodes hold and whether they are there often: the topology of the last fleet is used
 * again while all that it depends on is the same.
 */
const topologyOf = (ends: readonly End[]): Topology => {
  if (last && isAlike(last.ends, ends)) return { ...last, ends };
  last = createTopology(ends);
  return last;
};

let last: Topology | undefined;

const isAlike = (before: readonly End[], after: readonly End[]): boolean =>
  before.length === after.length &&
  before.every(({ node, machine }, index) => {
    const other = after[index];
    return (
      other !== undefined &&
      machine === other.machine &&
      node.name === other.node.name &&
      node.hostID === other.node.hostID &&
      node.hardwareModel === other.node.hardwareModel &&
      node.osVersion === other.node.osVersion &&
      node.spec.linkPolicy.allowRDMA === other.node.spec.linkPolicy.allowRDMA &&
      hasSameLinks(node.links, other.node.links)
    );
  });

const hasSameLinks = (before: PlanNode['links'], after: PlanNode['links']): boolean =>
  before === after ||
  (before.length === after.length &&
    before.every((link, index) => {
      const other = after[index];
      return (
        other !== undefined &&
        link.peerNodeName === other.peerNodeName &&
        link.type === other.type &&
        link.rdma === other.rdma &&
        link.up === other.up
      );
    }));

const islandUse = (seats: readonly Seat[], { islands }: Topology): IslandUse => {
  const isWhole = islands.map(
    ({ members }) =>
      members.length > 1 && members.every((index) => seats[index]?.node.usedMemoryBytes === 0),
  );
  const makes = islands.map(
    ({ members, form }) =>
      `${form}/${members.map((index) => seats[index]?.kind?.id ?? '-').join()}`,
  );
  const wholes = new Map<string, Set<number>>();
  for (const [island, make] of makes.entries()) {
    if (isWhole[island]) wholes.set(make, (wholes.get(make) ?? new Set()).add(island));
  }
  return { isWhole, makes, wholes };
};

/** Takes the memory of these ranks for `who`, as messages name it. */
export const reserve = (
  { seatOf, touched, topology, islands: { isWhole, makes, wholes } }: Inventory,
  ranks: readonly Pick<PlannedRank, 'nodeName' | 'memory'>[],
  who: string,
): void => {
  for (const { nodeName, memory } of ranks) {
    const seat = seatOf.get(nodeName);
    if (!seat) continue;
    seat.node.usedMemoryBytes += memory.totalBytes;
    seat.node.heldBy = [...(seat.node.heldBy ?? []), { who, memoryBytes: memory.totalBytes }];
    seat.groups += 1;
    touched.push(seat.index);
    if (!isWhole[seat.island]) continue;
    isWhole[seat.island] = false;
    touched.push(...(topology.islands[seat.island]?.members ?? []));
    const left = wholes.get(makes[seat.island] ?? '');
    left?.delete(seat.island);
    if (left?.size !== 1) continue;
    for (const island of left) touched.push(...(topology.islands[island]?.members ?? []));
  }
};

type Resolved = Omit<Kind, 'id'>;

const createResolver = (catalogue: Catalogue): ((node: PlanNode) => Resolved | undefined) => {
  const known = new Map<string, Resolved | undefined>();
  return ({ hardwareModel, chip, memoryBytes }) => {
    if (hardwareModel === '' && chip === '') return undefined;
    const key = `${hardwareModel}/${chip}/${memoryBytes}`;
    if (!known.has(key)) {
      known.set(key, resolveMachine(catalogue, { hardwareModel, chip, memoryBytes }));
    }
    return known.get(key);
  };
};

const keyOf = ({ chip, machine }: Resolved): string =>
  `${chip.chip}/${chip.gpuCores}/${machine?.marketingName ?? ''}`;

const sortKinds = (found: readonly Resolved[]): Kind[] =>
  [...new Map(found.map((kind) => [keyOf(kind), kind])).values()]
    .toSorted(
      (a, b) =>
        a.chip.memoryBandwidthGBps - b.chip.memoryBandwidthGBps ||
        a.chip.fp16TFLOPS - b.chip.fp16TFLOPS ||
        compareText(keyOf(a), keyOf(b)),
    )
    .map((kind, id) => ({ ...kind, id }));
