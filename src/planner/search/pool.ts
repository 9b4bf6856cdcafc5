import type { EngineFacts } from '../../catalogue/facts.ts';
import type { ModelDeploymentSpec } from '../../resources/types.ts';
import { byRoom, capacityOf } from '../capacity.ts';
import type { Margins } from '../capacity.ts';
import { selectNodes } from '../eligibility.ts';
import type { Inventory } from '../inventory.ts';
import { unbiased } from '../placement.ts';
import type { Leaning } from '../placement.ts';
import type { Refusal } from '../refusal.ts';
import { putInMesh, takeOutMesh } from './meshes.ts';
import { putIn, takeOut } from './order.ts';
import type { Compare } from './order.ts';
import { createOrders, putInNode, takeOutNode } from './orders.ts';
import type { Orders } from './orders.ts';
import { byStrain, isIdle, strainOf } from './placeable.ts';
import type { Placeable } from './placeable.ts';

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

/** Pools of an inventory, kept between deployments that ask for the same. */
export interface Pools {
  of(spec: ModelDeploymentSpec, engine: EngineFacts, margins: Margins): Pool;
  /** What breaks ties from now on. */
  lean(leaning: Leaning): void;
}

interface Kept {
  pool: Pool;
  placed: ReadonlyMap<number, Placeable>;
  usable: ReadonlyMap<string, number>;
  /** Undefined until somebody asks. */
  orders: () => Orders | undefined;
  /** How much of inventory.touched it has seen, and what it leans to. */
  seen: number;
  bias: Bias;
}

export const createPools = (inventory: Inventory): Pools => {
  const kept = new Map<string, Kept>();
  let bias = biasOf(inventory, unbiased);
  const haveReported = inventory.seats.some(({ node }) => node.engines.length > 0);
  return {
    of: (spec, engine, margins) => {
      const key = keyOf(spec, engine, margins, haveReported);
      const found = kept.get(key) ?? createPool(inventory, spec, engine, margins);
      kept.set(key, found);
      refresh(found, inventory, bias);
      return found.pool;
    },
    lean: (leaning) => {
      if (leaning !== bias.leaning) bias = biasOf(inventory, leaning);
    },
  };
};

/** A leaning, by what nodes are looked up by. */
interface Bias {
  leaning: Leaning;
  current: ReadonlySet<string>;
  siblingsOnHost: ReadonlyMap<string, number>;
  islands: ReadonlySet<number>;
  /** Seats for which it matters. */
  seats: readonly number[];
}

const biasOf = ({ seatOf, topology }: Inventory, leaning: Leaning): Bias => {
  const seatsOf = (names: readonly string[]) => names.flatMap((name) => seatOf.get(name) ?? []);
  const siblings = seatsOf(leaning.siblings);
  const siblingsOnHost = new Map<string, number>();
  for (const { host } of siblings) siblingsOnHost.set(host, (siblingsOnHost.get(host) ?? 0) + 1);
  const islands = new Set(siblings.map(({ island }) => island));
  const seats = [
    ...seatsOf(leaning.current).map(({ index }) => index),
    ...[...islands].flatMap((island) => topology.islands[island]?.members ?? []),
  ];
  return { leaning, current: new Set(leaning.current), siblingsOnHost, islands, seats };
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
  const { candidates: roomy, hostFreeBytes, sharesHosts } = capacityOf(nodes, eligible, margins);
  const candidates = roomy.flatMap((candidate): Placeable[] => {
    const seat = seatOf.get(candidate.node.name);
    if (!seat) return [];
    const plain = { strain: 0, isCurrent: false, siblings: 0, isNearSibling: false };
    return [{ ...candidate, ...plain, seat, groups: seat.groups, alone: undefined }];
  });
  const placed = new Map(candidates.map((candidate) => [candidate.seat.index, candidate]));
  for (const candidate of candidates) candidate.strain = strainOf(inventory, candidate.seat);
  const usable = new Map(hostFreeBytes);
  for (const { node, host } of seats) {
    usable.set(host, (usable.get(host) ?? 0) + node.usedMemoryBytes);
  }
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
  return { pool, placed, usable, orders: () => orders, seen, bias: biasOf(inventory, unbiased) };
};

/** Takes in what was reserved since, and what to lean to: only nodes that this changes are put elsewhere. */
const refresh = (kept: Kept, inventory: Inventory, bias: Bias): void => {
  const { pool, placed, seen } = kept;
  const changed = new Set(inventory.touched.slice(seen));
  kept.seen = inventory.touched.length;
  if (kept.bias !== bias) {
    for (const index of [...kept.bias.seats, ...bias.seats]) changed.add(index);
    kept.bias = bias;
  }
  if (changed.size === 0) return;
  const hosts = new Set([...changed].map((index) => inventory.seats[index]?.host ?? ''));
  const seats = [...hosts].flatMap((host) => inventory.seatsOnHost.get(host) ?? []);
  const moved = seats.flatMap(({ index }) => placed.get(index) ?? []);
  const orders = kept.orders();
  const meshes = new Set(moved.flatMap(({ seat }) => orders?.meshesOf.get(seat.index) ?? []));
  for (const mesh of meshes) takeOutMesh(mesh);
  for (const candidate of moved) {
    takeOut(pool.candidates, candidate, byRoom);
    if (orders) takeOutNode(orders, candidate, pool.compareStrain);
  }
  for (const host of hosts) takeRoom(kept, inventory, host);
  for (const candidate of moved) {
    candidate.strain = strainOf(inventory, candidate.seat);
    candidate.groups = candidate.seat.groups;
    candidate.isCurrent = bias.current.has(candidate.node.name) && isIdle(candidate);
    candidate.siblings = bias.siblingsOnHost.get(candidate.host) ?? 0;
    candidate.isNearSibling = bias.islands.has(candidate.seat.island);
    putIn(pool.candidates, candidate, byRoom);
    if (orders) putInNode(orders, candidate, pool.compareStrain);
  }
  for (const mesh of meshes) putInMesh(mesh);
  const islands = new Set(moved.map(({ seat }) => seat.island));
  for (const island of islands) orders?.openIslands.move(island);
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
    candidate.alone = undefined;
  }
};
