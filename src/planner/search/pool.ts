import type { EngineFacts } from '../../catalogue/facts.ts';
import type { ModelDeploymentSpec } from '../../resources/types.ts';
import { byRoom, capacityOf } from '../capacity.ts';
import type { Candidate, Margins } from '../capacity.ts';
import { selectNodes } from '../eligibility.ts';
import type { Inventory, Seat } from '../inventory.ts';
import type { Refusal } from '../refusal.ts';

/** A candidate with its place in the inventory. */
export interface Placeable extends Candidate {
  seat: Seat;
  /** How much its use would cost others, see `strainOf`; and whether the group runs there now. */
  strain: number;
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
  /** Left on all of them together. */
  freeBytes: number;
}

/** The nodes that one engine of one deployment may use, in the orders that search needs. */
export interface Pool {
  /** Most room first. */
  candidates: Placeable[];
  named: ReadonlyMap<string, Placeable>;
  hostFreeBytes: Map<string, number>;
  sharesHosts: boolean;
  excluded: readonly Refusal[];
  /** byKind[kind.id], the least strain first: what single ranks take. */
  byKind: Placeable[][];
  /** Meshes by make; those with the fewest idle members first. */
  meshes: Mesh[][];
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
  { seats, seatOf, kinds, topology }: Inventory,
  spec: ModelDeploymentSpec,
  engine: EngineFacts,
  margins: Margins,
): Kept => {
  const nodes = seats.map(({ node }) => node);
  const { eligible, excluded } = selectNodes(nodes, spec, engine);
  const { candidates: plain, hostFreeBytes, sharesHosts } = capacityOf(nodes, eligible, margins);
  const candidates = plain.flatMap((candidate): Placeable[] => {
    const seat = seatOf.get(candidate.node.name);
    return seat ? [{ ...candidate, seat, strain: 0, isCurrent: false }] : [];
  });
  const placed = new Map(candidates.map((candidate) => [candidate.seat.index, candidate]));
  const byKind = kinds.map((): Placeable[] => []);
  for (const candidate of candidates) {
    if (candidate.seat.kind) byKind[candidate.seat.kind.id]?.push(candidate);
  }
  const toMesh = (mode: Mesh['mode']) => (indexes: readonly number[]) =>
    meshOf(indexes, placed, mode);
  const allMeshes = [
    ...topology.islands.flatMap(({ meshes }) => meshes).flatMap(toMesh('RDMA')),
    ...topology.cableMeshes.flatMap(toMesh('TCP')),
  ];
  const meshes = [...Map.groupBy(allMeshes, ({ mode, make }) => `${mode}/${make}`).values()];
  const usedOn = new Map<string, number>();
  for (const { node, host } of seats) {
    usedOn.set(host, (usedOn.get(host) ?? 0) + node.usedMemoryBytes);
  }
  const usable = new Map(
    [...hostFreeBytes].map(([host, bytes]) => [host, bytes + (usedOn.get(host) ?? 0)]),
  );
  const named = new Map(candidates.map((candidate) => [candidate.node.name, candidate]));
  const pool = { candidates, named, hostFreeBytes, sharesHosts, excluded, byKind, meshes };
  return { pool, placed, usable, seen: -1, preferred: [] };
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
      freeBytes: 0,
    },
  ];
};

/** Takes in what was reserved since, and whom to prefer; linear, but for sorting what is nearly sorted. */
const refresh = (kept: Kept, inventory: Inventory, preferred: readonly string[]): void => {
  const { pool, seen } = kept;
  if (seen === inventory.touched.length && kept.preferred === preferred) return;
  const touchedHosts = new Set(
    inventory.touched.slice(Math.max(0, seen)).map((index) => inventory.seats[index]?.host ?? ''),
  );
  if (touchedHosts.size > 0) takeRoom(kept, inventory, touchedHosts);
  const names = new Set(preferred);
  for (const candidate of pool.candidates) {
    candidate.strain = strainOf(inventory, candidate.seat);
    candidate.isCurrent = names.has(candidate.node.name);
  }
  const order = byStrain(inventory);
  for (const list of pool.byKind) list.sort(order);
  const isFirst = seen < 0 || kept.preferred !== preferred;
  if (touchedHosts.size > 0) pool.candidates.sort(byRoom);
  for (const list of pool.meshes) {
    const stale = isFirst ? list : list.filter((mesh) => isTouched(mesh, touchedHosts));
    for (const mesh of stale) recount(mesh);
    if (stale.length > 0) list.sort(byIdle);
  }
  kept.seen = inventory.touched.length;
  kept.preferred = preferred;
};

const isTouched = ({ members }: Mesh, hosts: ReadonlySet<string>): boolean =>
  members.some(({ host }) => hosts.has(host));

const recount = (mesh: Mesh): void => {
  mesh.idle = 0;
  mesh.freeBytes = 0;
  for (const member of mesh.members) {
    if (isIdle(member)) mesh.idle += 1;
    mesh.freeBytes += Math.max(0, member.freeBytes);
  }
};

const takeRoom = (
  { pool, placed, usable }: Kept,
  { seatsOnHost }: Inventory,
  hosts: ReadonlySet<string>,
): void => {
  for (const host of hosts) {
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
  return (wholes.get(makes[island] ?? '') ?? 0) > 1 ? 1 : 3;
};

/** Where the group runs now, then the least strain, the smallest island, the most room, the first by name. */
const byStrain =
  ({ topology }: Inventory) =>
  (a: Placeable, b: Placeable): number =>
    Number(b.isCurrent) - Number(a.isCurrent) ||
    a.strain - b.strain ||
    a.seat.groups - b.seat.groups ||
    islandSize(topology.islands, a) - islandSize(topology.islands, b) ||
    b.freeBytes - a.freeBytes ||
    a.seat.index - b.seat.index;

const islandSize = (islands: Inventory['topology']['islands'], { seat }: Placeable): number =>
  islands[seat.island]?.members.length ?? 1;

const byIdle = (a: Mesh, b: Mesh): number =>
  currentIn(b) - currentIn(a) || a.idle - b.idle || firstOf(a) - firstOf(b);

const currentIn = ({ members }: Mesh): number =>
  members.filter(({ isCurrent }) => isCurrent).length;

const firstOf = ({ members }: Mesh): number => members[0]?.seat.index ?? 0;
