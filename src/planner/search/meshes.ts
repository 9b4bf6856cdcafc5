import { compareText } from '../eligibility.ts';
import { putIn, takeOut } from './order.ts';
import type { Orders } from './orders.ts';
import { isIdle } from './placeable.ts';
import type { Placeable } from './placeable.ts';

/** Candidates that have cables to each other, all to all. */
export interface Mesh {
  members: Placeable[];
  mode: 'RDMA' | 'TCP';
  /** Kinds of its members, ascending: meshes of one make are interchangeable. */
  make: string;
  /** As make, each kind once. */
  kinds: string;
  /** Each kind once, in order of members. */
  kindIds: readonly number[];
  idle: number;
  /** Idle members by kind and room: where it is the same, one mesh is as good as the other. */
  likeness: string;
  /** Left on all of them together. */
  freeBytes: number;
  /** Whether a group of the same deployment is on its island. */
  isNearSibling: boolean;
  /** Members that the group runs on, or just ran on. */
  current: number;
}

/** Where a mesh is listed. */
export interface MeshEntry {
  list: MeshList;
  mesh: Mesh;
}

/** Meshes of one mode and make, in two orders. */
export interface MeshList {
  /** The fewest idle members first, likes beside each other. */
  byIdle: Mesh[];
  /** Those that are not wholly idle, most room first. */
  busy: Mesh[];
}

/**
 * Lists by mode and make, and where each node's meshes are, by index of its seat. Without the nodes that may not
 * be used, two meshes may have become one.
 */
export const listMeshes = (
  found: readonly Mesh[],
): Pick<Orders, 'meshes' | 'smallestFirst' | 'meshesOf'> => {
  const meshesOf = new Map<number, MeshEntry[]>();
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
  return { meshes, smallestFirst: meshes.toSorted(bySize), meshesOf };
};

const bySize = (a: MeshList, b: MeshList): number => {
  const [left, right] = [a.byIdle[0], b.byIdle[0]];
  return left && right
    ? left.members.length - right.members.length ||
        Math.min(...right.kindIds) - Math.min(...left.kindIds)
    : 0;
};

/** The candidates among these nodes whose speed can be told; none for fewer than two. */
export const meshOf = (
  indexes: readonly number[],
  placed: ReadonlyMap<number, Placeable>,
  mode: Mesh['mode'],
): Mesh[] => {
  const members = indexes.flatMap((index) => {
    const candidate = placed.get(index);
    return candidate?.seat.kind ? [candidate] : [];
  });
  if (members.length < 2) return [];
  const ids = members.map(({ seat }) => seat.kind?.id ?? 0);
  const kinds = ids.toSorted((a, b) => a - b);
  return [
    {
      members,
      mode,
      make: kinds.join(),
      kinds: [...new Set(kinds)].join(),
      kindIds: [...new Set(ids)],
      idle: members.length,
      likeness: '',
      freeBytes: 0,
      isNearSibling: false,
      current: 0,
    },
  ];
};

export const takeOutMesh = ({ list, mesh }: MeshEntry): void => {
  takeOut(list.byIdle, mesh, byIdle);
  takeOut(list.busy, mesh, byFree);
};

export const putInMesh = ({ list, mesh }: MeshEntry): void => {
  recount(mesh);
  putIn(list.byIdle, mesh, byIdle);
  if (isBusy(mesh)) putIn(list.busy, mesh, byFree);
};

const isBusy = ({ idle, members }: Mesh): boolean => idle < members.length;

const recount = (mesh: Mesh): void => {
  mesh.idle = 0;
  mesh.freeBytes = 0;
  mesh.current = 0;
  let likeness = '';
  for (const member of mesh.members) {
    mesh.freeBytes += Math.max(0, member.freeBytes);
    if (member.isCurrent) mesh.current += 1;
    if (!isIdle(member)) continue;
    mesh.idle += 1;
    likeness += `${member.seat.kind?.id}:${member.freeBytes};`;
  }
  mesh.likeness = likeness;
  mesh.isNearSibling = mesh.members.some(({ isNearSibling }) => isNearSibling);
};

/** The order of runs of meshes that are as good as each other. */
export const byLikeness = (a: Mesh, b: Mesh): number =>
  b.current - a.current || a.idle - b.idle || compareText(a.likeness, b.likeness);

const byIdle = (a: Mesh, b: Mesh): number =>
  byLikeness(a, b) || compareNearness(a, b) || compareMembers(a, b);

const byFree = (a: Mesh, b: Mesh): number =>
  b.freeBytes - a.freeBytes || compareNearness(a, b) || compareMembers(a, b);

const compareNearness = (a: Mesh, b: Mesh): number =>
  Number(a.isNearSibling) - Number(b.isNearSibling);

const memberKey = ({ members }: Mesh): string => members.map(({ seat }) => seat.index).join();

/** No two meshes have the same members. */
const compareMembers = (a: Mesh, b: Mesh): number => {
  const both = Math.min(a.members.length, b.members.length);
  for (let index = 0; index < both; index += 1) {
    const difference = (a.members[index]?.seat.index ?? 0) - (b.members[index]?.seat.index ?? 0);
    if (difference !== 0) return difference;
  }
  return a.members.length - b.members.length;
};
