import { byRoom } from '../capacity.ts';
import type { Inventory } from '../inventory.ts';
import { listMeshes, meshOf } from './meshes.ts';
import type { Mesh, MeshEntry, MeshList } from './meshes.ts';
import { putIn, takeOut } from './order.ts';
import type { Compare } from './order.ts';
import { createOpenIslands } from './paths.ts';
import type { OpenIslands } from './paths.ts';
import { inFull } from './placeable.ts';
import type { Placeable } from './placeable.ts';

/** What search looks nodes up by. */
export interface Orders {
  /** byKind[kind.id], the least strain first: what single ranks take. */
  byKind: Placeable[][];
  /** roomiest[kind.id], most room first. */
  roomiest: Placeable[][];
  /** By mode and make. */
  meshes: MeshList[];
  /** The same, small meshes first; of equal size those whose slowest member is the fastest. */
  smallestFirst: MeshList[];
  /** Where each node's meshes are, by index of its seat. */
  meshesOf: ReadonlyMap<number, MeshEntry[]>;
  /** Islands that are no full mesh, alike ones together: by kind and room of their idle members. */
  openIslands: OpenIslands;
}

export const createOrders = (
  { kinds, topology }: Inventory,
  {
    candidates,
    placed,
    compareStrain,
  }: {
    candidates: readonly Placeable[];
    placed: ReadonlyMap<number, Placeable>;
    compareStrain: Compare<Placeable>;
  },
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

export const takeOutNode = (
  { byKind, roomiest }: Orders,
  node: Placeable,
  compareStrain: Compare<Placeable>,
): void => {
  const kind = node.seat.kind?.id ?? -1;
  takeOut(byKind[kind] ?? [], node, inFull(compareStrain));
  takeOut(roomiest[kind] ?? [], node, byRoom);
};

export const putInNode = (
  { byKind, roomiest }: Orders,
  node: Placeable,
  compareStrain: Compare<Placeable>,
): void => {
  const kind = node.seat.kind?.id ?? -1;
  if (!byKind[kind]) return;
  putIn(byKind[kind], node, inFull(compareStrain));
  putIn(roomiest[kind] ?? [], node, byRoom);
};
