import type { Island, Topology } from '../topology/topology.ts';
import type { Placeable, Pool } from './pool.ts';

/** More paths of one island than this are not all tried; rings and chains of up to 16 nodes have fewer. */
const mostPaths = 256;
const longestPath = 8;

/**
 * Ways through islands that are no full mesh, from cable to cable: every simple path of two to eight idle nodes,
 * up to 256 of an island; of islands of one make the first. Without that bound their number would explode.
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
  const seen = new Set<string>();
  return islands
    .filter(({ form }) => form === 'Ring' || form === 'PartialMesh')
    .filter((island) => {
      const make = makeOf(island, placed);
      const isNew = !seen.has(make);
      seen.add(make);
      return isNew;
    })
    .flatMap(({ members }) => pathsThrough(members, rdmaPeers, placed));
};

const makeOf = ({ form, members }: Island, placed: ReadonlyMap<number, Placeable>): string =>
  `${form}/${members.map((index) => placed.get(index)?.seat.kind?.id ?? '-').join()}`;

const pathsThrough = (
  members: readonly number[],
  peers: Topology['rdmaPeers'],
  placed: ReadonlyMap<number, Placeable>,
): Placeable[][] => {
  const paths: Placeable[][] = [];
  const walk = (path: Placeable[]): void => {
    const last = path.at(-1);
    if (!last || path.length >= longestPath) return;
    for (const peer of peers[last.seat.index] ?? []) {
      const next = placed.get(peer);
      if (!next || path.includes(next)) continue;
      if (paths.length >= mostPaths) return;
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
