import type { Topology } from '../topology/topology.ts';
import { firstOfEach, largeFleet, mostPaths, pathsThrough } from './paths.ts';
import type { Path } from './paths.ts';
import { isIdle } from './placeable.ts';
import type { Placeable } from './placeable.ts';
import type { Pool } from './pool.ts';

/**
 * Ways over TCP through cables that do not join all to all: every simple path of two to eight idle nodes, up to 256
 * of those that hang together, of paths through like machines and cables the first. In large fleets packets are
 * taken to go by the network.
 */
export const cablePaths = (topology: Topology, pool: Pool): Path[] =>
  firstOfEach(allPaths(topology, pool));

/** Nodes in the order of a ring: each has a cable to the next, and the last one to the first. */
export const cableRings = (topology: Topology, pool: Pool, size: number): Placeable[][] => {
  // Two nodes with a cable are a full mesh.
  if (size < 3) return [];
  const closed = allPaths(topology, pool).filter(
    (path) =>
      path.teams.length === size &&
      topology.cables[seatOf(path, size - 1)]?.has(seatOf(path, 0)) === true,
  );
  return firstOfEach(closed).map(({ teams }) => teams.flatMap(({ members }) => members));
};

const allPaths = ({ cables, openCables }: Topology, { candidates }: Pool): Path[] => {
  if (candidates.length > largeFleet || openCables.length === 0) return [];
  const placed = new Map(candidates.map((candidate) => [candidate.seat.index, candidate]));
  const idle = (index: number): Placeable | undefined => {
    const candidate = placed.get(index);
    return candidate?.seat.kind && isIdle(candidate) ? candidate : undefined;
  };
  const peers = cables.map((wires) => [...wires.keys()]);
  return openCables
    .flatMap((members) => pathsThrough(members, { peers, most: mostPaths, idle }))
    .map((path) => {
      const wires = path.teams.map((_, at) => cables[seatOf(path, at)]?.get(seatOf(path, at + 1)));
      return { ...path, likeness: `${path.likeness}/${wires.join()}` };
    });
};

const seatOf = ({ teams }: Path, at: number): number => teams[at]?.members[0]?.seat.index ?? -1;
