import type { Topology } from '../topology/topology.ts';
import type { Placeable } from './placeable.ts';
import { aloneOf } from './teams.ts';
import type { Team } from './teams.ts';

/** More paths of one island than this are not all tried; rings and chains of up to 16 nodes have fewer. */
export const mostPaths = 256;
/** In fleets of more nodes than this. */
export const largeFleet = 64;
const mostPathsOfLarge = 32;
const longestPath = 8;

/** Islands of a large fleet that paths are sought in. */
const mostIslandsOfLarge = 32;

/** Islands that are no full mesh, by their make: form, kinds and room of idle members. */
export interface OpenIslands {
  /** Puts an island where it belongs after its members changed. */
  move: (island: number) => void;
  /**
   * Ways through them, from cable to cable: every simple path of two to eight idle nodes, up to 256 of an island
   * (32 in large fleets, and of the 32 islands with the most idle members), of islands of one make one, of paths
   * through like machines the first. Without these bounds their number would explode.
   */
  paths: () => readonly Path[];
}

/** Each node is a stage. */
export interface Path {
  teams: readonly Team[];
  /** Kinds and room of its nodes. */
  likeness: string;
}

/** Islands of one make. */
interface Alike {
  islands: Set<number>;
  idle: number;
}

/** Keeps the paths of an island until it changes. */
export const createOpenIslands = (
  { islands, rdmaPeers }: Topology,
  placed: ReadonlyMap<number, Placeable>,
): OpenIslands => {
  const isLarge = placed.size > largeFleet;
  const most = isLarge ? mostPathsOfLarge : mostPaths;
  const idle = (index: number): Placeable | undefined => {
    const candidate = placed.get(index);
    return candidate?.seat.kind && candidate.node.usedMemoryBytes === 0 ? candidate : undefined;
  };
  const makes = new Map<number, string>();
  const byMake = new Map<string, Alike>();
  const known = new Map<number, Path[]>();
  let all: Path[] | undefined;
  const leave = (island: number): void => {
    const make = makes.get(island) ?? '';
    const alike = byMake.get(make);
    alike?.islands.delete(island);
    if (alike?.islands.size === 0) byMake.delete(make);
    makes.delete(island);
    known.delete(island);
    all = undefined;
  };
  const move = (island: number): void => {
    const found = islands[island];
    if (!found || (found.form !== 'Ring' && found.form !== 'PartialMesh')) return;
    leave(island);
    const members = found.members.map(idle);
    const count = members.filter((member) => member).length;
    if (count < 2) return;
    const make = `${found.form}/${members.map(likenessOf).join()}`;
    const alike = byMake.get(make) ?? { islands: new Set(), idle: count };
    alike.islands.add(island);
    makes.set(island, make);
    byMake.set(make, alike);
  };
  for (const island of islands.keys()) move(island);
  const pathsOf = (island: number): Path[] => {
    const paths =
      known.get(island) ??
      pathsThrough(islands[island]?.members ?? [], { peers: rdmaPeers, most, idle });
    known.set(island, paths);
    return paths;
  };
  const paths = (): Path[] => {
    const oneOfEach = [...byMake.values()]
      .map((alike) => ({ island: Math.min(...alike.islands), idle: alike.idle }))
      .toSorted((a, b) => b.idle - a.idle || a.island - b.island);
    const tried = isLarge ? oneOfEach.slice(0, mostIslandsOfLarge) : oneOfEach;
    return firstOfEach(tried.flatMap(({ island }) => pathsOf(island)));
  };
  return { move, paths: () => (all ??= paths()) };
};

export const firstOfEach = (paths: readonly Path[]): Path[] => [
  ...new Map(paths.toReversed().map((path) => [path.likeness, path])).values(),
];

const likenessOf = (candidate: Placeable | undefined): string =>
  candidate ? `${candidate.seat.kind?.id}:${candidate.freeBytes}` : '-';

/** Every simple path of two to eight idle nodes from one of these along `peers`, until there are `most`. */
export const pathsThrough = (
  starts: readonly number[],
  {
    peers,
    most,
    idle,
  }: {
    peers: readonly (readonly number[])[];
    most: number;
    idle: (index: number) => Placeable | undefined;
  },
): Path[] => {
  const paths: Placeable[][] = [];
  const walk = (path: Placeable[]): void => {
    const last = path.at(-1);
    if (!last || path.length >= longestPath) return;
    for (const peer of peers[last.seat.index] ?? []) {
      const next = idle(peer);
      if (!next || path.includes(next)) continue;
      if (paths.length >= most) return;
      const longer = [...path, next];
      paths.push(longer);
      walk(longer);
    }
  };
  for (const member of starts) {
    const start = idle(member);
    if (start) walk([start]);
  }
  return paths.map((path) => ({
    teams: path.map(aloneOf),
    likeness: path.map(likenessOf).join(),
  }));
};
