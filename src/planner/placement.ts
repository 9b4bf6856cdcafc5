import type { Candidate, Capacity } from './capacity.ts';

/** The rank that finds no room on the best node that is left for it. */
export interface Shortfall {
  rank: number;
  candidate: Candidate;
  needBytes: number;
  /** On that node, after the ranks that were placed on its host before. */
  leftBytes: number;
}

/** What breaks ties between options that are as good as each other. */
export interface Leaning {
  /** Where the group runs now, by rank: it stays. */
  current: readonly string[];
  /** Where the other groups of its deployment are, once for each of them: it keeps apart, so that they are not lost together. */
  siblings: readonly string[];
}

export const unbiased: Leaning = { current: [], siblings: [] };

export type Placement = { ok: true; candidates: Candidate[] } | { ok: false; shortfall: Shortfall };

/**
 * Finds a node for each rank, at most one rank to a node: `needs[rank]` bytes each, and candidates[rank] is
 * its node. Needs at least as many candidates as ranks. Two searches, each of which an additional node can
 * only help: ranks that all count as the largest one, hosts filled one after another; then ranks of unequal
 * need on hosts of their own, largest on the roomiest: first on hosts without siblings.
 */
export const placeRanks = (
  needs: readonly number[],
  capacity: Capacity,
  leaning: Leaning = unbiased,
): Placement => {
  const leastRoom = capacity.candidates[needs.length - 1]?.freeBytes ?? -Infinity;
  if (leastRoom < Math.min(...needs)) {
    return { ok: false, shortfall: shortfallOf(needs, capacity) };
  }
  const siblings = countOnHosts(leaning.siblings, capacity);
  const { candidates: all, hostFreeBytes } = capacity;
  const apart = siblings.size === 0 ? all : all.filter(({ host }) => !siblings.has(host));
  const candidates =
    placeOn(needs, { candidates: apart, hostFreeBytes }, leaning.current) ??
    placeEqual(needs, capacity, leaning.current, siblings) ??
    placeOnePerHost(needs, apart) ??
    placeOnePerHost(needs, all);
  return candidates
    ? { ok: true, candidates }
    : { ok: false, shortfall: shortfallOf(needs, capacity) };
};

/** How many of these names are on each host. */
const countOnHosts = (
  names: readonly string[],
  { candidates }: Pick<Capacity, 'candidates'>,
): Map<string, number> => {
  const count = new Map<string, number>();
  if (names.length === 0) return count;
  const hosts = new Map(candidates.map(({ node, host }) => [node.name, host]));
  for (const name of names) {
    const host = hosts.get(name);
    if (host !== undefined) count.set(host, (count.get(host) ?? 0) + 1);
  }
  return count;
};

/** Exactly these nodes in this order, when all are candidates and have the room. */
export const placeOn = (
  needs: readonly number[],
  capacity: Pick<Capacity, 'candidates' | 'hostFreeBytes'>,
  names: readonly string[],
): Candidate[] | undefined => {
  if (names.length !== needs.length || new Set(names).size !== names.length) return undefined;
  const asked = capacity.candidates.filter(({ node }) => names.includes(node.name));
  const byName = new Map(asked.map((candidate) => [candidate.node.name, candidate]));
  const chosen: Candidate[] = [];
  const room = createRoom(capacity);
  for (const [rank, name] of names.entries()) {
    const candidate = byName.get(name);
    if (!candidate || !room.take(candidate, needs[rank] ?? 0)) return undefined;
    chosen.push(candidate);
  }
  return chosen;
};

/** Exact for ranks of equal need: any host holds as many as its memory and its nodes allow. */
const placeEqual = (
  needs: readonly number[],
  capacity: Capacity,
  currentNames: readonly string[],
  siblings: ReadonlyMap<string, number>,
): Candidate[] | undefined => {
  const need = Math.max(...needs);
  const room = createRoom(capacity);
  const chosen: Candidate[] = [];
  for (const candidate of inOrder(capacity, {
    ranks: needs.length,
    need,
    currentNames,
    siblings,
  })) {
    if (chosen.length === needs.length) break;
    if (room.take(candidate, need)) chosen.push(candidate);
  }
  return chosen.length === needs.length ? chosen : undefined;
};

/**
 * Nodes that run the group now, and no sibling, come first, then their hosts; where there are none, hosts that hold
 * the whole group. Then those with the fewest siblings; the roomiest; ties by name. Losing a node that is not chosen leaves
 * the choice as it is.
 */
const inOrder = (
  { candidates, hostFreeBytes, sharesHosts }: Capacity,
  {
    ranks,
    need,
    currentNames,
    siblings,
  }: {
    ranks: number;
    need: number;
    currentNames: readonly string[];
    siblings: ReadonlyMap<string, number>;
  },
): readonly Candidate[] => {
  // One that has lost its room says nothing about where the others should be.
  const running = currentNames.flatMap((name) =>
    candidates.filter(({ node, freeBytes }) => node.name === name && freeBytes >= need),
  );
  if (siblings.size === 0 && !sharesHosts) {
    if (running.length === 0) return candidates;
    return [...running, ...candidates.filter((candidate) => !running.includes(candidate))];
  }
  const currentHosts = new Set(running.map(({ host }) => host));
  const current = running.filter(({ host }) => !siblings.has(host));
  const keptHosts = new Set(current.map(({ host }) => host));
  const hosts = Map.groupBy(candidates, ({ host }) => host);
  const holdsAll = ([host, members]: [string, Candidate[]]): boolean =>
    (hostFreeBytes.get(host) ?? 0) >= need * ranks &&
    members.filter(({ freeBytes }) => freeBytes >= need).length >= ranks;
  // Map.groupBy keeps the order of candidates, and toSorted is stable: roomiest first, then by name.
  const rest = [...hosts]
    .map((entry) => ({
      members: entry[1],
      siblings: siblings.get(entry[0]) ?? 0,
      isCurrent: currentHosts.has(entry[0]),
      preferred: current.length > 0 ? keptHosts.has(entry[0]) : holdsAll(entry),
    }))
    .toSorted(
      (a, b) =>
        Number(b.preferred) - Number(a.preferred) ||
        a.siblings - b.siblings ||
        Number(b.isCurrent) - Number(a.isCurrent),
    )
    .flatMap(({ members }) => members)
    .filter((candidate) => !current.includes(candidate));
  return [...current, ...rest];
};

/** Exact for hosts of one node each: the largest rank goes to the roomiest host, and so on down. */
const placeOnePerHost = (
  needs: readonly number[],
  candidates: readonly Candidate[],
): Candidate[] | undefined => {
  const best = [...Map.groupBy(candidates, ({ host }) => host).values()].flatMap(([first]) =>
    first ? [first] : [],
  );
  const chosen: Candidate[] = [];
  for (const [position, { rank, need }] of byNeed(needs).entries()) {
    const candidate = best[position];
    if (!candidate || candidate.freeBytes < need) return undefined;
    chosen[rank] = candidate;
  }
  return chosen;
};

/** The first rank without room when the roomiest nodes are filled, largest rank first. */
const shortfallOf = (needs: readonly number[], capacity: Capacity): Shortfall => {
  const largest = Math.max(...needs);
  const shortfall =
    firstShort(byNeed(needs), capacity) ??
    firstShort(
      needs.map((_, rank) => ({ rank, need: largest })),
      capacity,
    );
  if (!shortfall) throw new Error('ranks that fit were reported as short of room');
  return shortfall;
};

const firstShort = (
  demands: { rank: number; need: number }[],
  capacity: Capacity,
): Shortfall | undefined => {
  const room = createRoom(capacity);
  for (const [position, { rank, need }] of demands.entries()) {
    const candidate = capacity.candidates[position];
    if (!candidate) throw new Error('placeRanks needs a candidate for each rank');
    const leftBytes = room.left(candidate);
    if (!room.take(candidate, need)) return { rank, candidate, needBytes: need, leftBytes };
  }
  return undefined;
};

const byNeed = (needs: readonly number[]): { rank: number; need: number }[] =>
  needs.map((need, rank) => ({ rank, need })).toSorted((a, b) => b.need - a.need);

/** What is left while ranks are being placed. */
const createRoom = ({ hostFreeBytes }: Pick<Capacity, 'hostFreeBytes'>) => {
  const taken = new Map<string, number>();
  const left = ({ host, freeBytes }: Candidate): number =>
    Math.min(freeBytes, (hostFreeBytes.get(host) ?? 0) - (taken.get(host) ?? 0));
  const take = (candidate: Candidate, bytes: number): boolean => {
    if (left(candidate) < bytes) return false;
    taken.set(candidate.host, (taken.get(candidate.host) ?? 0) + bytes);
    return true;
  };
  return { left, take };
};
