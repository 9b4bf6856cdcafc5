import type { Island, Topology } from '../topology/topology.ts';
import type { Placeable } from './placeable.ts';
import type { Pool } from './pool.ts';

/** More paths of one island than this are not all tried; rings and chains of up to 16 nodes have fewer. */
const mostPaths = 256;
/** In fleets of more nodes than this. */
const largeFleet = 64;
const mostPathsOfLarge = 32;
const longestPath = 8;

/** Islands of a large fleet that paths are sought in. */
const mostIslandsOfLarge = 32;

/** Islands that are no full mesh, by their make: form, kinds and room of idle members. */
export interface OpenIslands {
  /** Puts an island where it belongs after its members changed. */
  move: (island: number) => void;
  /** One island of each make, those with the most idle members first. */
  oneOfEach: () => readonly number[];
  membersOf: (island: number) => readonly number[];
  idle: (index: number) => Placeable | undefined;
}

export const createOpenIslands = (
  { islands }: Topology,
  placed: ReadonlyMap<number, Placeable>,
): OpenIslands => {
  const idle = (index: number): Placeable | undefined => {
    const candidate = placed.get(index);
    return candidate?.seat.kind && candidate.node.usedMemoryBytes === 0 ? candidate : undefined;
  };
  const makeOf = ({ form, members }: Island): string =>
    `${form}/${members.map((index) => likenessOf(idle(index))).join()}`;
  const idleIn = (island: number): number =>
    (islands[island]?.members ?? []).filter((index) => idle(index)).length;
  const makes = new Map<number, string>();
  const byMake = new Map<string, Set<number>>();
  const move = (island: number): void => {
    const found = islands[island];
    if (!found || (found.form !== 'Ring' && found.form !== 'PartialMesh')) return;
    const before = byMake.get(makes.get(island) ?? '');
    before?.delete(island);
    if (before?.size === 0) byMake.delete(makes.get(island) ?? '');
    makes.delete(island);
    if (idleIn(island) < 2) return;
    const make = makeOf(found);
    makes.set(island, make);
    byMake.set(make, (byMake.get(make) ?? new Set()).add(island));
  };
  for (const island of islands.keys()) move(island);
  const oneOfEach = (): number[] =>
    [...byMake.values()]
      .map((alike) => Math.min(...alike))
      .toSorted((a, b) => idleIn(b) - idleIn(a) || a - b);
  return { move, oneOfEach, idle, membersOf: (island) => islands[island]?.members ?? [] };
};

const likenessOf = (candidate: Placeable | undefined): string =>
  candidate ? `${candidate.seat.kind?.id}:${candidate.freeBytes}` : '-';

/**
 * Ways through islands that are no full mesh, from cable to cable: every simple path of two to eight idle nodes,
 * up to 256 of an island (32 in large fleets, and of 32 islands), of islands of one make one, of paths through
 * like machines the first. Without these bounds their number would explode.
 */
export const rdmaPaths = (
  { rdmaPeers }: Topology,
  { candidates, orders: { openIslands } }: Pool,
): Placeable[][] => {
  const isLarge = candidates.length > largeFleet;
  const most = isLarge ? mostPathsOfLarge : mostPaths;
  const islands = openIslands.oneOfEach();
  const paths = (isLarge ? islands.slice(0, mostIslandsOfLarge) : islands).flatMap((island) =>
    pathsThrough(openIslands, { members: openIslands.membersOf(island), peers: rdmaPeers, most }),
  );
  return [...new Map(paths.toReversed().map((path) => [likeness(path), path])).values()];
};

const likeness = (path: readonly Placeable[]): string => path.map(likenessOf).join();

const pathsThrough = (
  { idle }: OpenIslands,
  {
    members,
    peers,
    most,
  }: { members: readonly number[]; peers: Topology['rdmaPeers']; most: number },
): Placeable[][] => {
  const paths: Placeable[][] = [];
  const walk = (path: Placeable[]): void => {
    const last = path.at(-1);
    if (!last || path.length >= longestPath) return;
    for (const peer of peers[last.seat.index] ?? []) {
      const next = idle(peer);
      if (!next || path.includes(next)) continue;
      if (paths.length >= most) return;
      paths.push([...path, next]);
      walk([...path, next]);
    }
  };
  for (const member of members) {
    const start = idle(member);
    if (start) walk([start]);
  }
  return paths;
};
