import type { Placed } from './appraise.ts';
import { inOrder } from './teams.ts';
import type { Line, Team } from './teams.ts';

/** More crews than this are not all tried. */
const mostCrews = 256;
/** In large fleets, where one plan must not take longer than another fleet's hundred. */
const mostCrewsOfLarge = 8;
/** Stages beyond those that memory needs that are tried in any case: what spreads prefill. */
const tryStages = [2, 4, 8];

interface Limits {
  most: number;
  allowed: (stages: number) => boolean;
  /** Whether stages with so much room in all could hold the model. */
  holds: (freeBytes: number) => boolean;
  isLarge: boolean;
}

/**
 * The crews that the teams of these lines may form, each team a stage: of each make the roomiest. Every number of
 * teams of each make, from two stages up until the next number of stages would make it more than 256 crews: up to six
 * stages of four makes, nine of three. Longer ones of one make, or the fastest, or the roomiest. How many teams there
 * are does not count in that, so that a node more takes nothing away.
 */
export const crewsOf = (
  lines: readonly Line[],
  { most, allowed, holds, isLarge }: Limits,
  man: (crew: Team[]) => Placed[],
): Placed[] => {
  const longest = Math.min(most, countTeams(lines));
  const all = longestOfAll(lines.length, longest, {
    allowed,
    budget: isLarge ? mostCrewsOfLarge : mostCrews,
  });
  const sites = everyCrew(lines, { longest: all, allowed }).flatMap(man);
  if (all >= longest) return sites;
  const limits = { most, allowed, holds };
  const ofOneMake = isLarge
    ? lines.flatMap((line) => prefixes(line, limits, man))
    : lines.flatMap((line) => wholeLine(line, all, limits, man));
  const fastest = prefixes(inTurn(lines), limits, man);
  const roomiest = prefixes(roomiestOf(lines), limits, (crew) => man(inOrder(crew)));
  return [...sites, ...ofOneMake, ...fastest, ...roomiest];
};

export const countTeams = (lines: readonly Line[]): number =>
  lines.reduce((sum, { length }) => sum + length, 0);

function* inTurn(lines: readonly Line[]): Generator<Team> {
  for (const line of lines) yield* line;
}

/** Those with the most room first, of any make. */
function* roomiestOf(lines: readonly Line[]): Generator<Team> {
  const taken = lines.map(() => 0);
  for (;;) {
    let best: Team | undefined;
    let from = -1;
    for (let index = 0; index < lines.length; index += 1) {
      const team = lines[index]?.[taken[index] ?? 0];
      if (!team || (best && byRoom(best, team) <= 0)) continue;
      best = team;
      from = index;
    }
    if (!best) return;
    taken[from] = (taken[from] ?? 0) + 1;
    yield best;
  }
}

const byRoom = (a: Team, b: Team): number =>
  b.freeBytes - a.freeBytes ||
  b.slowest - a.slowest ||
  (a.members[0]?.seat.index ?? 0) - (b.members[0]?.seat.index ?? 0);

/** The most stages up to which every crew is tried: C(makes + stages - 1, stages) for each number of stages. */
const longestOfAll = (
  makes: number,
  longest: number,
  { allowed, budget }: Pick<Limits, 'allowed'> & { budget: number },
): number => {
  let crews = 0;
  let ofThis = 1;
  for (let stages = 1; stages <= longest; stages += 1) {
    ofThis = (ofThis * (makes + stages - 1)) / stages;
    if (stages > 1 && allowed(stages)) crews += ofThis;
    if (crews > budget) return stages - 1;
  }
  return longest;
};

/** Any number of teams of each make, the roomiest of it: of each allowed number of stages up to `longest`. */
const everyCrew = (
  lines: readonly Line[],
  { longest, allowed }: { longest: number; allowed: Limits['allowed'] },
): Team[][] => {
  let most = longest;
  while (most > 1 && !allowed(most)) most -= 1;
  if (most < 2) return [];
  let crews: Team[][] = [[]];
  for (const line of lines) {
    crews = crews.flatMap((crew) =>
      Array.from({ length: Math.min(line.length, most - crew.length) + 1 }, (_, count) => [
        ...crew,
        ...line.slice(0, count),
      ]),
    );
  }
  return crews.filter(({ length }) => length > 1 && allowed(length));
};

/** Every number of teams of one make beyond those that were tried. */
const wholeLine = (
  line: Line,
  tried: number,
  { most, allowed }: Pick<Limits, 'most' | 'allowed'>,
  man: (crew: Team[]) => Placed[],
): Placed[] =>
  Array.from({ length: Math.min(most, line.length) }, (_, index) => index + 1)
    .filter((stages) => stages > Math.max(1, tried) && allowed(stages))
    .flatMap((stages) => man(line.slice(0, stages)));

/** The first teams of a line: the fewest that hold the model, and some more. */
const prefixes = (
  line: Iterable<Team>,
  { most, allowed, holds }: Omit<Limits, 'isLarge'>,
  man: (crew: Team[]) => Placed[],
): Placed[] => {
  const sites: Placed[] = [];
  const crew: Team[] = [];
  let freeBytes = 0;
  for (const team of line) {
    if (crew.length === most) break;
    const stages = crew.push(team);
    freeBytes += team.freeBytes;
    if (stages < 2 || !allowed(stages) || !holds(freeBytes)) continue;
    if (sites.length > 0 && !tryStages.includes(stages)) continue;
    sites.push(...man([...crew]));
    if (sites.length > 0 && stages >= Math.max(...tryStages)) break;
  }
  return sites;
};
