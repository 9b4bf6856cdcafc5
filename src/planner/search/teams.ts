import type { Placeable } from './placeable.ts';

/** Who may take one stage: one node, or a tensor group. */
export interface Team {
  members: Placeable[];
  mode: 'None' | 'TCP' | 'RDMA';
  /** Kinds of its members, ascending: teams of one make differ by their room alone. */
  make: string;
  slowest: number;
  /** Of its slowest, for all of its ranks. */
  speed: number;
  freeBytes: number;
  /** Teams for which it is the same do the same, see `likenessOf`; undefined until asked for. */
  likeness: string | undefined;
}

/** Teams of one make, the roomiest first. */
export type Line = readonly Team[];

/** Members with the fastest kind first. */
export const teamOf = (members: Placeable[], mode: Team['mode']): Team => {
  const ids: number[] = [];
  let speed = Infinity;
  let freeBytes = Infinity;
  for (const { seat, freeBytes: own } of members) {
    freeBytes = Math.min(freeBytes, own);
    if (!seat.kind) continue;
    ids.push(seat.kind.id);
    speed = Math.min(speed, seat.kind.chip.memoryBandwidthGBps);
  }
  ids.reverse();
  const make = ids.join();
  return { members, mode, make, slowest: ids[0] ?? 0, speed, freeBytes, likeness: undefined };
};

export const aloneOf = (candidate: Placeable): Team =>
  (candidate.alone ??= teamOf([candidate], 'None'));

/** What tells teams apart but who is in them. */
export const likenessOf = (team: Team): string =>
  (team.likeness ??= `${team.mode}:${team.make}:${team.freeBytes}:${Math.max(...team.members.map(({ groups }) => groups))}`);

/** Disjoint groups of equals as far as possible: the fastest together, then the roomiest. */
export const teamsIn = (
  members: readonly Placeable[],
  tensorSize: number,
  mode: 'RDMA' | 'TCP',
): Team[] => {
  if (tensorSize === 1) return members.toSorted(byMight).map(aloneOf);
  const sorted = members.toSorted(byMight);
  return Array.from({ length: Math.floor(sorted.length / tensorSize) }, (_, index) =>
    teamOf(sorted.slice(index * tensorSize, (index + 1) * tensorSize), mode),
  );
};

/** The fastest kind first, then the most room, apart from siblings, by name. */
export const byMight = (a: Placeable, b: Placeable): number =>
  (b.seat.kind?.id ?? 0) - (a.seat.kind?.id ?? 0) ||
  b.freeBytes - a.freeBytes ||
  a.siblings - b.siblings ||
  a.seat.index - b.seat.index;

/** Lines in the order of a crew. */
export const linesOf = (teams: readonly Team[]): Line[] => [
  ...Map.groupBy(inOrder(teams), ({ make }) => make).values(),
];

/**
 * The fastest first: it computes the first stage, and the embedding with it. Teams of one make stand together, so
 * that the order of a crew does not depend on who else is there.
 */
export const inOrder = (teams: readonly Team[]): Team[] =>
  teams.toSorted(
    (a, b) =>
      b.slowest - a.slowest ||
      (a.make < b.make ? 1 : a.make > b.make ? -1 : 0) ||
      b.freeBytes - a.freeBytes ||
      (a.members[0]?.seat.index ?? 0) - (b.members[0]?.seat.index ?? 0),
  );
