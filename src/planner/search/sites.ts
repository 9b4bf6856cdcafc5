import { interconnectsOf } from '../engine-limits.ts';
import type { Shape } from '../shapes.ts';
import type { Topology } from '../topology/topology.ts';
import type { Placed } from './appraise.ts';
import type { Evaluator } from './evaluate.ts';
import { endOfRun, firstOf } from './order.ts';
import { byLikeness } from './meshes.ts';
import type { Mesh, MeshList } from './meshes.ts';
import { cableRings } from './cabled.ts';
import { isIdle } from './placeable.ts';
import type { Placeable } from './placeable.ts';
import type { Pool } from './pool.ts';

export interface SiteSearch {
  topology: Topology;
  pool: Pool;
  evaluator: Evaluator;
  /** What interconnect.mode leaves. */
  want: 'Auto' | 'RDMA' | 'TCP';
}

/** One site for each kind of machine that has the room, the one whose use costs others least. */
export const singleSites = ({ pool, evaluator }: SiteSearch): Placed[] => {
  const shape = { tensorSize: 1, pipelineSize: 1 };
  const layers = { firstLayer: 0, endLayer: evaluator.demand.model.layers.length };
  const needBytes = evaluator.memoryOf(shape, 0, layers).totalBytes;
  return pool.orders.byKind.flatMap((candidates): Placed[] => {
    const found = roomyFrom(pool, candidates, needBytes, 1)[0];
    return found ? [{ shape, candidates: [found], ranges: [layers], mode: 'None' }] : [];
  });
};

/** Ranks of one stage that exchange directly: equal shares, so the slowest sets the pace. */
export interface Group {
  members: Placeable[];
  mode: 'TCP' | 'RDMA';
  byNetwork?: 'All';
  isRing?: boolean;
}

/** For each make of mesh and each kind that may be the slowest in it, the group that costs others least. */
export const tensorSites = (search: SiteSearch, shape: Shape): Placed[] => {
  const layers = { firstLayer: 0, endLayer: search.evaluator.demand.model.layers.length };
  const needBytes = search.evaluator.memoryOf(shape, 0, layers).totalBytes;
  return groupsOf(search, shape, needBytes).map(({ members, mode, byNetwork, isRing }) => ({
    shape,
    candidates: members,
    ranges: [layers],
    mode,
    ...(byNetwork ? { byNetwork } : {}),
    ...(isRing ? { isRing } : {}),
  }));
};

const groupsOf = (search: SiteSearch, shape: Shape, needBytes: number): Group[] => {
  const { pool, want, evaluator } = search;
  const able = interconnectsOf(evaluator.demand.engine, shape);
  const modes = able.filter((mode) => want === 'Auto' || mode === want);
  const size = shape.tensorSize;
  const best = new Map<string, Found>();
  const roomy = pool.orders.roomiest.map(([first]) => (first?.freeBytes ?? -Infinity) >= needBytes);
  for (const list of pool.orders.meshes) {
    const [first] = list.byIdle;
    if (!first || !modes.includes(first.mode) || first.members.length < size) continue;
    for (const slowest of first.kindIds) {
      if (countOf(first, (kind) => kind >= slowest && roomy[kind] === true) < size) continue;
      const found = bestInMeshes(list, size, slowest, needBytes);
      if (!found) continue;
      const key = `${first.mode}/${found.members.map(kindId).join()}`;
      const known = best.get(key);
      if (!known || byCost(found, known) < 0) best.set(key, found);
    }
  }
  const inMeshes = [...best.values()].map(({ members, mesh: { mode } }) => ({
    members,
    mode,
  }));
  if (!modes.includes('TCP')) return inMeshes;
  const anywhere = pool.orders.byKind.flatMap((_, slowest): Group[] => {
    const members = overNetwork(pool, size, slowest, needBytes);
    return members ? [{ members, mode: 'TCP', byNetwork: 'All' }] : [];
  });
  const inRings = cableRings(search.topology, pool, size)
    .filter((ring) => ring.every(({ freeBytes }) => freeBytes >= needBytes))
    .map((members): Group => ({ members, mode: 'TCP', isRing: true }));
  return [...inMeshes, ...inRings, ...anywhere];
};

/** Members of these kinds: as many in each mesh of one make. */
const countOf = ({ members }: Mesh, isOf: (kind: number) => boolean): number => {
  let count = 0;
  for (const member of members) if (isOf(kindId(member))) count += 1;
  return count;
};

interface Found {
  members: Placeable[];
  mesh: Mesh;
  isShared: boolean;
}

/** Idle nodes before busy ones; the mesh that is left with the least; apart from siblings; the first by name. */
const byCost = (a: Found, b: Found): number =>
  Number(a.isShared) - Number(b.isShared) ||
  a.mesh.idle - b.mesh.idle ||
  a.mesh.members.length - b.mesh.members.length ||
  Number(a.mesh.isNearSibling) - Number(b.mesh.isNearSibling) ||
  (a.members[0]?.seat.index ?? 0) - (b.members[0]?.seat.index ?? 0);

/** Busy meshes of one make that are looked into; the roomiest are the likeliest. */
const mostBusy = 16;

/**
 * In the mesh with the fewest idle nodes that are enough; among busy nodes only if there is none: those of the
 * fewest other groups, then of the fewest siblings.
 */
const bestInMeshes = (
  { byIdle, busy }: MeshList,
  size: number,
  slowest: number,
  needBytes: number,
): Found | undefined => {
  for (let head = 0; head < byIdle.length; head = endOfRun(byIdle, head, byLikeness)) {
    const mesh = byIdle[head];
    if (!mesh || mesh.idle < size) continue;
    const idle = mesh.idle < mesh.members.length ? mesh.members.filter(isIdle) : mesh.members;
    const members = pick(idle, size, slowest, needBytes);
    if (members) return { members, mesh, isShared: false };
  }
  let best: (Found & Crowd) | undefined;
  for (let tried = 0; tried < Math.min(mostBusy, busy.length); tried += 1) {
    const mesh = busy[tried];
    if (!mesh || mesh.freeBytes < size * needBytes) break;
    const members = pick(mesh.members, size, slowest, needBytes);
    if (!members) continue;
    const crowd = crowdOf(members);
    if (best && byCrowd(best, crowd) <= 0) continue;
    best = { members, mesh, isShared: true, ...crowd };
    // Idle ones alone were not enough, so there is no smaller crowd.
    if (crowd.groups <= 1 && crowd.siblings === 0) break;
  }
  return best;
};

interface Crowd {
  /** Of others, on the busiest of the nodes. */
  groups: number;
  /** On all of them. */
  siblings: number;
}

const crowdOf = (members: readonly Placeable[]): Crowd => {
  const crowd = { groups: 0, siblings: 0 };
  for (const { groups, siblings } of members) {
    crowd.groups = Math.max(crowd.groups, groups);
    crowd.siblings += siblings;
  }
  return crowd;
};

const byCrowd = (a: Crowd, b: Crowd): number => a.groups - b.groups || a.siblings - b.siblings;

/**
 * Members of the slowest kind first: a faster one would only wait for it. Then idle ones, roomy ones, by name. They
 * stand in the order of the mesh, by name.
 */
const pick = (
  members: readonly Placeable[],
  size: number,
  slowest: number,
  needBytes: number,
): Placeable[] | undefined => {
  const able = members.filter(
    ({ seat, freeBytes }) => kindId({ seat }) >= slowest && freeBytes >= needBytes,
  );
  if (able.length <= size) return able.length < size ? undefined : able;
  const chosen = firstOf(able, size, byFitness);
  return able.filter((member) => chosen.includes(member));
};

const byFitness = (a: Placeable, b: Placeable): number =>
  kindId(a) - kindId(b) ||
  Number(b.isCurrent) - Number(a.isCurrent) ||
  a.seat.groups - b.seat.groups ||
  a.siblings - b.siblings ||
  b.freeBytes - a.freeBytes ||
  a.seat.index - b.seat.index;

const kindId = ({ seat }: Pick<Placeable, 'seat'>): number => seat.kind?.id ?? 0;

const overNetwork = (
  pool: Pool,
  size: number,
  slowest: number,
  needBytes: number,
): Placeable[] | undefined => {
  const chosen: Placeable[] = [];
  for (const candidates of pool.orders.byKind.slice(slowest)) {
    chosen.push(...roomyFrom(pool, candidates, needBytes, size - chosen.length));
    if (chosen.length === size) return chosen.toSorted((a, b) => a.seat.index - b.seat.index);
  }
  return undefined;
};

/** The first with room for it. Among those that cost others the same the roomiest come first: the rest is skipped. */
const roomyFrom = (
  { compareStrain }: Pool,
  candidates: readonly Placeable[],
  needBytes: number,
  most: number,
): Placeable[] => {
  const chosen: Placeable[] = [];
  let head = 0;
  while (chosen.length < most && head < candidates.length) {
    const first = candidates[head];
    for (let index = head; index < candidates.length && chosen.length < most; index += 1) {
      const candidate = candidates[index];
      if (!candidate || !first || candidate.freeBytes < needBytes) break;
      if (index > head && compareStrain(first, candidate) !== 0) break;
      chosen.push(candidate);
    }
    if (chosen.length < most) head = endOfRun(candidates, head, compareStrain);
  }
  return chosen;
};
