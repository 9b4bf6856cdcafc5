import { byMight, teamOf, teamsIn } from './teams.ts';
import type { Team } from './teams.ts';
import type { Placeable } from './placeable.ts';

/** Nodes that cables join, directly or through each other, of which more are carved greedily: no masks for more. */
const mostNodes = 24;
/** Groups and what they leave that are looked at together; beyond that they are carved greedily as well. */
const mostSteps = 2500;
/** Carvings that are kept while those of several parts are put together. */
const mostCarvings = 128;

/**
 * Every way to part the members of full meshes into disjoint groups of `size` that lie within one, but for ways that
 * another one makes up for: groups of the same kinds, as many and as roomy. What can be carved from some nodes can
 * be carved from more, so a node more never makes the best worse. Machines that nothing tells apart are carved
 * once: an island of equals in one way.
 */
export const carvings = (
  meshes: readonly (readonly Placeable[])[],
  size: number,
  mode: 'RDMA' | 'TCP',
): Team[][] => {
  let all: Team[][] = [[]];
  for (const part of partsOf(meshes)) {
    const ofPart = carvePart(part, size, mode);
    all = leading(all.flatMap((teams) => ofPart.map((more) => [...teams, ...more])));
    all = all.slice(0, mostCarvings);
  }
  return all.filter(({ length }) => length > 0);
};

/** Meshes that share nodes, directly or through others, together. */
const partsOf = (meshes: readonly (readonly Placeable[])[]): (readonly Placeable[])[][] => {
  const parts: { meshes: (readonly Placeable[])[]; members: Set<Placeable> }[] = [];
  for (const mesh of meshes) {
    const joined = parts.filter(({ members }) => mesh.some((member) => members.has(member)));
    const part = { meshes: [mesh], members: new Set(mesh) };
    for (const other of joined) {
      part.meshes.push(...other.meshes);
      other.members.forEach((member) => part.members.add(member));
      parts.splice(parts.indexOf(other), 1);
    }
    parts.push(part);
  }
  return parts.map((part) => part.meshes);
};

/** A part as sets of bits: node i is bit i. */
interface Part {
  members: readonly Placeable[];
  /** Nodes that share a mesh with node i, and itself. */
  peers: readonly number[];
  /** Nodes that nothing tells from node i: kind, room and peers. */
  twins: readonly number[];
  size: number;
  mode: 'RDMA' | 'TCP';
  steps: number;
}

const carvePart = (
  meshes: readonly (readonly Placeable[])[],
  size: number,
  mode: 'RDMA' | 'TCP',
): Team[][] => {
  const members = [...new Set(meshes.flat())].toSorted(byMight);
  if (members.length > mostNodes) return [carveGreedily(meshes, size, mode)];
  const bitOf = new Map(members.map((member, index) => [member, 1 << index]));
  const maskOf = (mesh: readonly Placeable[]): number =>
    mesh.reduce((mask, member) => mask | (bitOf.get(member) ?? 0), 0);
  const peers = members.map((member) =>
    meshes.reduce((mask, mesh) => (mesh.includes(member) ? mask | maskOf(mesh) : mask), 0),
  );
  const likeness = members.map(
    ({ seat, freeBytes }, index) => `${seat.kind?.id}/${freeBytes}/${peers[index]}`,
  );
  const twins = likeness.map((own) =>
    likeness.reduce((mask, each, index) => (each === own ? mask | (1 << index) : mask), 0),
  );
  const part: Part = { members, peers, twins, size, mode, steps: 0 };
  const found = carve(part, 2 ** members.length - 1, new Map());
  return part.steps > mostSteps ? [carveGreedily(meshes, size, mode)] : found;
};

/** The carvings of the nodes in this set: without its first node and its twins, or with each group that it may be in. */
const carve = (part: Part, open: number, known: Map<number, Team[][]>): Team[][] => {
  if (open === 0) return [[]];
  const done = known.get(open);
  if (done) return done;
  const first = open & -open;
  const index = 31 - Math.clz32(first);
  const found = groupsWith(part, index, open).flatMap((group) => {
    const rests = carve(part, open & ~group, known);
    part.steps += rests.length;
    if (part.steps > mostSteps) return [];
    const team = teamOf(
      part.members.filter((_, each) => group & (1 << each)),
      part.mode,
    );
    return rests.map((rest) => [team, ...rest]);
  });
  const without = carve(part, open & ~(part.twins[index] ?? first), known);
  const best = leading([...found, ...without]);
  known.set(open, best);
  return best;
};

/** Groups of the right size within one mesh that this node is in: of twins always the first ones. */
const groupsWith = ({ peers, twins, size }: Part, index: number, open: number): number[] => {
  const groups: number[] = [];
  const grow = (group: number, count: number, candidates: number): void => {
    if (count === size) {
      groups.push(group);
      return;
    }
    let left = candidates;
    while (left !== 0) {
      const bit = left & -left;
      const next = 31 - Math.clz32(bit);
      grow(group | bit, count + 1, left & ~bit & (peers[next] ?? 0));
      left &= ~(twins[next] ?? bit);
    }
  };
  const own = 1 << index;
  grow(own, 1, open & ~own & (peers[index] ?? 0));
  return groups;
};

/** Without those that another one makes up for; the first of equals. */
const leading = (all: readonly Team[][]): Team[][] => {
  const told = new Map<string, { teams: Team[]; rooms: Map<string, number[]> }>();
  for (const teams of all.toSorted((a, b) => b.length - a.length)) {
    const rooms = roomsOf(teams);
    const key = [...rooms].map(([make, free]) => `${make}:${free.join()}`).join(';');
    if (!told.has(key)) told.set(key, { teams, rooms });
  }
  const kept: { teams: Team[]; rooms: Map<string, number[]> }[] = [];
  for (const each of told.values()) {
    if (!kept.some(({ rooms }) => makesUpFor(rooms, each.rooms))) kept.push(each);
  }
  return kept.map(({ teams }) => teams);
};

/** Free bytes of the teams of each make, most first; makes in order of name. */
const roomsOf = (teams: readonly Team[]): Map<string, number[]> => {
  const rooms = new Map<string, number[]>();
  for (const { make, freeBytes } of teams.toSorted((a, b) => (a.make < b.make ? -1 : 1))) {
    rooms.set(make, [...(rooms.get(make) ?? []), freeBytes]);
  }
  for (const free of rooms.values()) free.sort((a, b) => b - a);
  return rooms;
};

const makesUpFor = (
  better: ReadonlyMap<string, readonly number[]>,
  worse: ReadonlyMap<string, readonly number[]>,
): boolean =>
  [...worse].every(([make, free]) => {
    const own = better.get(make);
    return own !== undefined && free.every((bytes, index) => (own[index] ?? -Infinity) >= bytes);
  });

/** Small meshes first, or large ones would use up what they need. */
const carveGreedily = (
  meshes: readonly (readonly Placeable[])[],
  size: number,
  mode: 'RDMA' | 'TCP',
): Team[] => {
  const taken = new Set<Placeable>();
  return meshes
    .toSorted((a, b) => a.length - b.length)
    .flatMap((mesh) => {
      const free = mesh.filter((member) => !taken.has(member));
      const teams = teamsIn(free, size, mode);
      for (const { members } of teams) members.forEach((member) => taken.add(member));
      return teams;
    });
};
