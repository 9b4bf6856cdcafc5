import type { EngineFacts } from '../../catalogue/facts.ts';
import type { ModelDeploymentSpec } from '../../resources/types.ts';
import { byRoom, capacityOf } from '../capacity.ts';
import type { Candidate, Margins } from '../capacity.ts';
import { compareText, selectNodes } from '../eligibility.ts';
import type { Inventory, Seat } from '../inventory.ts';
import type { Refusal } from '../refusal.ts';
import { putIn, takeOut } from './order.ts';
import type { Compare } from './order.ts';
import { createOpenIslands } from './paths.ts';
import type { OpenIslands } from './paths.ts';

/** A candidate with its place in the inventory. */
export interface Placeable extends Candidate {
  seat: Seat;
  /** How much its use would cost others, see `strainOf`; and whether the group runs there now. */
  strain: number;
  /** Of other deployments, as the orders know it. */
  groups: number;
  isCurrent: boolean;
}

/** Candidates that have cables to each other, all to all. */
export interface Mesh {
  members: Placeable[];
  mode: 'RDMA' | 'TCP';
  /** Kinds of its members, ascending: meshes of one make are interchangeable. */
  make: string;
  /** As make, each kind once. */
  kinds: string;
  idle: number;
  /** Idle members by kind and room: where it is the same, one mesh is as good as the other. */
  likeness: string;
  /** Left on all of them together. */
  freeBytes: number;
}

/** Meshes of one mode and make, in two orders. */
export interface MeshList {
  /** The fewest idle members first, likes beside each other. */
  byIdle: Mesh[];
  /** Those that are not wholly idle, most room first. */
  busy: Mesh[];
}

/** The nodes that one engine of one deployment may use, in the orders that search needs. */
export interface Pool {
  /** Most room first. */
  candidates: Placeable[];
  named: ReadonlyMap<string, Placeable>;
  hostFreeBytes: Map<string, number>;
  sharesHosts: boolean;
  excluded: readonly Refusal[];
  /** Whether these two cost others the same, but for their room. */
  compareStrain: Compare<Placeable>;
  /** Made when first asked for: where no speed is known nobody asks. */
  readonly orders: Orders;
}

/** What search looks nodes up by. */
export interface Orders {
  /** byKind[kind.id], the least strain first: what single ranks take. */
  byKind: Placeable[][];
  /** roomiest[kind.id], most room first. */
  roomiest: Placeable[][];
  /** By mode and make. */
  meshes: MeshList[];
  /** Where each node's meshes are, by index of its seat. */
  meshesOf: ReadonlyMap<number, { list: MeshList; mesh: Mesh }[]>;
  /** Islands that are no full mesh, alike ones together: by kind and room of their idle members. */
  openIslands: OpenIslands;
}

/** Pools of an inventory, kept between deployments that ask for the same. */
export interface Pools {
  of(spec: ModelDeploymentSpec, engine: EngineFacts, margins: Margins): Pool;
  /** Prefers these nodes from now on: where the group that is planned runs. */
  prefer(nodeNames: readonly string[]): void;
}

interface Kept {
  pool: Pool;
  placed: ReadonlyMap<number, Placeable>;
  usable: ReadonlyMap<string, number>;
  /** Undefined until somebody asks. */
  orders: () => Orders | undefined;
  /** How much of inventory.touched it has seen, and whom it prefers. */
  seen: number;
  preferred: readonly string[];
}

export const createPools = (inventory: Inventory): Pools => {
  const kept = new Map<string, Kept>();
  let preferred: readonly string[] = [];
  const haveReported = inventory.seats.some(({ node }) => node.engines.length > 0);
  return {
    of: (spec, engine, margins) => {
      const key = keyOf(spec, engine, margins, haveReported);
      const found = kept.get(key) ?? createPool(inventory, spec, engine, margins);
      kept.set(key, found);
      refresh(found, inventory, preferred);
      return found.pool;
    },
    prefer: (nodeNames) => {
      preferred = nodeNames;
    },
  };
};

/** All that eligibility and room depend on; which engine it is only where nodes say what they have. */
const keyOf = (
  { placement, runtime }: ModelDeploymentSpec,
  { name, runsOn }: EngineFacts,
  margins: Margins,
  haveReported: boolean,
): string =>
  JSON.stringify([placement, haveReported ? [runtime.version, name] : [], runsOn, margins]);

const createPool = (
  inventory: Inventory,
  spec: ModelDeploymentSpec,
  engine: EngineFacts,
  margins: Margins,
): Kept => {
  const { seats, seatOf } = inventory;
  const nodes = seats.map(({ node }) => node);
  const { eligible, excluded } = selectNodes(nodes, spec, engine);
  const { candidates: plain, hostFreeBytes, sharesHosts } = capacityOf(nodes, eligible, margins);
  const candidates = plain.flatMap((candidate): Placeable[] => {
    const seat = seatOf.get(candidate.node.name);
    return seat ? [{ ...candidate, seat, strain: 0, groups: seat.groups, isCurrent: false }] : [];
  });
  const placed = new Map(candidates.map((candidate) => [candidate.seat.index, candidate]));
  for (const candidate of candidates) candidate.strain = strainOf(inventory, candidate.seat);
  const usedOn = new Map<string, number>();
  for (const { node, host } of seats) {
    usedOn.set(host, (usedOn.get(host) ?? 0) + node.usedMemoryBytes);
  }
  const usable = new Map(
    [...hostFreeBytes].map(([host, bytes]) => [host, bytes + (usedOn.get(host) ?? 0)]),
  );
  const named = new Map(candidates.map((candidate) => [candidate.node.name, candidate]));
  const compareStrain = byStrain(inventory);
  let orders: Orders | undefined;
  const pool: Pool = {
    candidates,
    named,
    hostFreeBytes,
    sharesHosts,
    excluded,
    compareStrain,
    get orders() {
      orders ??= createOrders(inventory, { candidates, placed, compareStrain });
      return orders;
    },
  };
  const seen = inventory.touched.length;
  return { pool, placed, usable, orders: () => orders, seen, preferred: [] };
};

const createOrders = (
  { kinds, topology }: Inventory,
  {
    candidates,
    placed,
    compareStrain,
  }: Pick<Pool, 'candidates' | 'compareStrain'> & Pick<Kept, 'placed'>,
): Orders => {
  const roomiest = kinds.map((): Placeable[] => []);
  for (const candidate of candidates) {
    if (candidate.seat.kind) roomiest[candidate.seat.kind.id]?.push(candidate);
  }
  const byKind = roomiest.map((list) => list.toSorted(inFull(compareStrain)));
  const toMesh = (mode: Mesh['mode']) => (indexes: readonly number[]) =>
    meshOf(indexes, placed, mode);
  const allMeshes = [
    ...topology.islands.flatMap(({ meshes }) => meshes).flatMap(toMesh('RDMA')),
    ...topology.cableMeshes.flatMap(toMesh('TCP')),
  ];
  const openIslands = createOpenIslands(topology, placed);
  return { byKind, roomiest, ...listMeshes(allMeshes), openIslands };
};

/** Without the nodes that may not be used, two meshes may have become one. */
const listMeshes = (found: readonly Mesh[]): Pick<Orders, 'meshes' | 'meshesOf'> => {
  const meshesOf = new Map<number, { list: MeshList; mesh: Mesh }[]>();
  const all = new Map(found.map((mesh) => [`${mesh.mode}/${memberKey(mesh)}`, mesh])).values();
  const grouped = Map.groupBy(all, ({ mode, make }) => `${mode}/${make}`);
  const meshes = [...grouped.values()].map((sameMake): MeshList => {
    for (const mesh of sameMake) recount(mesh);
    const list = {
      byIdle: sameMake.toSorted(byIdle),
      busy: sameMake.filter(isBusy).toSorted(byFree),
    };
    for (const mesh of sameMake) {
      const entry = { list, mesh };
      for (const { seat } of mesh.members) {
        const known = meshesOf.get(seat.index) ?? [];
        known.push(entry);
        meshesOf.set(seat.index, known);
      }
    }
    return list;
  });
  return { meshes, meshesOf };
};

/** The candidates among these nodes whose speed can be told; none for fewer than two. */
const meshOf = (
  indexes: readonly number[],
  placed: ReadonlyMap<number, Placeable>,
  mode: Mesh['mode'],
): Mesh[] => {
  const members = indexes.flatMap((index) => {
    const candidate = placed.get(index);
    return candidate?.seat.kind ? [candidate] : [];
  });
  if (members.length < 2) return [];
  const kinds = members.map(({ seat }) => seat.kind?.id ?? 0).toSorted((a, b) => a - b);
  return [
    {
      members,
      mode,
      make: kinds.join(),
      kinds: [...new Set(kinds)].join(),
      idle: members.length,
      likeness: '',
      freeBytes: 0,
    },
  ];
};

/** Takes in what was reserved since, and whom to prefer: only nodes that this changes are put elsewhere. */
const refresh = (kept: Kept, inventory: Inventory, preferred: readonly string[]): void => {
  const { pool, placed, seen } = kept;
  const changed = new Set(inventory.touched.slice(seen));
  kept.seen = inventory.touched.length;
  if (kept.preferred !== preferred) {
    for (const name of [...kept.preferred, ...preferred]) {
      const candidate = pool.named.get(name);
      if (candidate) changed.add(candidate.seat.index);
    }
    kept.preferred = preferred;
  }
  if (changed.size === 0) return;
  const hosts = new Set([...changed].map((index) => inventory.seats[index]?.host ?? ''));
  const seats = [...hosts].flatMap((host) => inventory.seatsOnHost.get(host) ?? []);
  const moved = seats.flatMap(({ index }) => placed.get(index) ?? []);
  const orders = kept.orders();
  const meshes = new Set(moved.flatMap(({ seat }) => orders?.meshesOf.get(seat.index) ?? []));
  for (const { list, mesh } of meshes) takeOutMesh(list, mesh);
  for (const candidate of moved) {
    takeOut(pool.candidates, candidate, byRoom);
    if (orders) takeOutNode(pool, orders, candidate);
  }
  for (const host of hosts) takeRoom(kept, inventory, host);
  const names = new Set(preferred);
  for (const candidate of moved) {
    candidate.strain = strainOf(inventory, candidate.seat);
    candidate.groups = candidate.seat.groups;
    candidate.isCurrent = names.has(candidate.node.name);
    putIn(pool.candidates, candidate, byRoom);
    if (orders) putInNode(pool, orders, candidate);
  }
  for (const { list, mesh } of meshes) putInMesh(list, mesh);
  const islands = new Set(moved.map(({ seat }) => seat.island));
  for (const island of islands) orders?.openIslands.move(island);
};

const takeOutNode = (
  { compareStrain }: Pool,
  { byKind, roomiest }: Orders,
  node: Placeable,
): void => {
  const kind = node.seat.kind?.id ?? -1;
  takeOut(byKind[kind] ?? [], node, inFull(compareStrain));
  takeOut(roomiest[kind] ?? [], node, byRoom);
};

const putInNode = (
  { compareStrain }: Pool,
  { byKind, roomiest }: Orders,
  node: Placeable,
): void => {
  const kind = node.seat.kind?.id ?? -1;
  if (!byKind[kind]) return;
  putIn(byKind[kind], node, inFull(compareStrain));
  putIn(roomiest[kind] ?? [], node, byRoom);
};

const takeOutMesh = ({ byIdle: idle, busy }: MeshList, mesh: Mesh): void => {
  takeOut(idle, mesh, byIdle);
  takeOut(busy, mesh, byFree);
};

const putInMesh = ({ byIdle: idle, busy }: MeshList, mesh: Mesh): void => {
  recount(mesh);
  putIn(idle, mesh, byIdle);
  if (isBusy(mesh)) putIn(busy, mesh, byFree);
};

const isBusy = ({ idle, members }: Mesh): boolean => idle < members.length;

const recount = (mesh: Mesh): void => {
  mesh.idle = 0;
  mesh.freeBytes = 0;
  let likeness = '';
  for (const member of mesh.members) {
    mesh.freeBytes += Math.max(0, member.freeBytes);
    if (!isIdle(member)) continue;
    mesh.idle += 1;
    likeness += `${member.seat.kind?.id}:${member.freeBytes};`;
  }
  mesh.likeness = likeness;
};

const takeRoom = (
  { pool, placed, usable }: Kept,
  { seatsOnHost }: Inventory,
  host: string,
): void => {
  const seats = seatsOnHost.get(host) ?? [];
  const used = seats.reduce((sum, { node }) => sum + node.usedMemoryBytes, 0);
  const hostFree = (usable.get(host) ?? 0) - used;
  pool.hostFreeBytes.set(host, hostFree);
  for (const { index } of seats) {
    const candidate = placed.get(index);
    if (!candidate) continue;
    const { node, reserveBytes, headroomBytes, spareBytes } = candidate;
    candidate.freeBytes = Math.min(
      node.memoryBytes - reserveBytes - headroomBytes - spareBytes - node.usedMemoryBytes,
      hostFree,
    );
  }
};

export const isIdle = ({ node, isCurrent }: Placeable): boolean =>
  isCurrent || node.usedMemoryBytes === 0;

/**
 * What a single rank on this node would spoil, the least first: 0 nothing (it is idle, and in no island that is
 * whole), 1 an island of which there are more, 2 the speed of others that run there, 3 the last whole island of
 * its make.
 */
const strainOf = (
  { islands: { isWhole, makes, wholes } }: Inventory,
  { node, island }: Seat,
): number => {
  if (node.usedMemoryBytes > 0) return 2;
  if (!isWhole[island]) return 0;
  return (wholes.get(makes[island] ?? '')?.size ?? 0) > 1 ? 1 : 3;
};

/** Where the group runs now, then the least strain, the fewest groups, the smallest island. */
const byStrain =
  ({ topology }: Inventory): Compare<Placeable> =>
  (a, b) =>
    Number(b.isCurrent) - Number(a.isCurrent) ||
    a.strain - b.strain ||
    a.groups - b.groups ||
    islandSize(topology.islands, a) - islandSize(topology.islands, b);

/** Then the most room, the first by name. */
const inFull =
  (compareStrain: Compare<Placeable>): Compare<Placeable> =>
  (a, b) =>
    compareStrain(a, b) || b.freeBytes - a.freeBytes || a.seat.index - b.seat.index;

const islandSize = (islands: Inventory['topology']['islands'], { seat }: Placeable): number =>
  islands[seat.island]?.members.length ?? 1;

/** The order of runs of meshes that are as good as each other. */
export const byLikeness = (a: Mesh, b: Mesh): number =>
  currentIn(b) - currentIn(a) || a.idle - b.idle || compareText(a.likeness, b.likeness);

const byIdle = (a: Mesh, b: Mesh): number => byLikeness(a, b) || compareMembers(a, b);

const byFree = (a: Mesh, b: Mesh): number => b.freeBytes - a.freeBytes || compareMembers(a, b);

const currentIn = ({ members }: Mesh): number =>
  members.filter(({ isCurrent }) => isCurrent).length;

const memberKey = ({ members }: Mesh): string => members.map(({ seat }) => seat.index).join();

/** No two meshes have the same members. */
const compareMembers = (a: Mesh, b: Mesh): number => {
  for (const [index, { seat }] of a.members.entries()) {
    const other = b.members[index];
    if (!other) return 1;
    if (other.seat.index !== seat.index) return seat.index - other.seat.index;
  }
  return a.members.length - b.members.length;
};
