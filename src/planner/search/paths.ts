import type { Island, Topology } from '../topology/topology.ts';
import type { Placeable, Pool } from './pool.ts';

/** More paths of one island than this are not all tried; rings and chains of up to 16 nodes have fewer. */
const mostPaths = 256;
/** In fleets of more nodes than this. */
const largeFleet = 64;
const mostPathsOfLarge = 32;
const longestPath = 8;

/**
 * Ways through islands that are no full mesh, from cable to cable: every simple path of two to eight idle nodes,
 * up to 256 of an island (32 in large fleets), of islands of one make the first, of paths through like machines
 * the first. Without these bounds their number would explode.
 */
export const rdmaPaths = (
  { islands, rdmaPeers }: Topology,
  { candidates }: Pool,
): Placeable[][] => {
  const placed = new Map(
    candidates
      .filter(({ node, seat }) => seat.kind && node.usedMemoryBytes === 0)
      .map((candidate) => [candidate.seat.index, candidate]),
  );
  const most = candidates.length > largeFleet ? mostPathsOfLarge : mostPaths;
  const seen = new Set<string>();
  const paths = islands
    .filter(({ form }) => form === 'Ring' || form === 'PartialMesh')
    .filter((island) => {
      const make = makeOf(island, placed);
      const isNew = !seen.has(make);
      seen.add(make);
      return isNew;
    })
    .flatMap(({ members }) => pathsThrough(members, rdmaPeers, placed, most));
  return [...new Map(paths.toReversed().map((path) => [likeness(path), path])).values()];
};

const likeness = (path: readonly Placeable[]): string =>
  path.map(({ seat, freeBytes }) => `${seat.kind?.id}:${freeBytes}`).join();

const makeOf = ({ form, members }: Island, placed: ReadonlyMap<number, Placeable>): string =>
  `${form}/${members.map((index) => placed.get(index)?.seat.kind?.id ?? '-').join()}`;

const pathsThrough = (
  members: readonly number[],
  peers: Topology['rdmaPeers'],
  placed: ReadonlyMap<number, Placeable>,
  most: number,
): Placeable[][] => {
  const paths: Placeable[][] = [];
  const walk = (path: Placeable[]): void => {
    const last = path.at(-1);
    if (!last || path.length >= longestPath) return;
    for (const peer of peers[last.seat.index] ?? []) {
      const next = placed.get(peer);
      if (!next || path.includes(next)) continue;
      if (paths.length >= most) return;
      paths.push([...path, next]);
      walk([...path, next]);
    }
  };
  for (const member of members) {
    const start = placed.get(member);
    if (start) walk([start]);
  }
  return paths;
};
