import type { Placed } from './appraise.ts';
import { inOrder } from './teams.ts';
import type { Team } from './teams.ts';

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
 * The crews that these teams may form, each team a stage: of each make the roomiest. Every number of teams of each
 * make, from two stages up until the next number of stages would make it more than 256 crews: up to six stages of
 * four makes, nine of three. Longer ones of one make, or the fastest, or the roomiest. How many teams there are does
 * not count in that, so that a node more takes nothing away.
 */
export const crewsOf = (
  teams: readonly Team[],
  { most, allowed, holds, isLarge }: Limits,
  man: (crew: Team[]) => Placed[],
): Placed[] => {
  const makes = [...Map.groupBy(inOrder(teams), ({ make }) => make).values()];
  const longest = Math.min(most, teams.length);
  const all = longestOfAll(makes.length, longest, {
    allowed,
    budget: isLarge ? mostCrewsOfLarge : mostCrews,
  });
  const sites = everyCrew(makes, all)
    .filter((crew) => crew.length > 1 && allowed(crew.length))
    .flatMap(man);
  if (all >= longest) return sites;
  const limits = { most, allowed, holds };
  const lines = isLarge
    ? makes.flatMap((line) => prefixes(line, limits, man))
    : makes.flatMap((line) => wholeLine(line, all, limits, man));
  const fastest = prefixes(makes.flat(), limits, man);
  const roomiest = prefixes(teams.toSorted(byRoom), limits, (crew) => man(inOrder(crew)));
  return [...sites, ...lines, ...fastest, ...roomiest];
};

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

/** Any number of teams of each make, the roomiest of it, up to `longest` in all. */
const everyCrew = (makes: readonly Team[][], longest: number): Team[][] =>
  makes.reduce<Team[][]>(
    (crews, make) =>
      crews.flatMap((crew) =>
        Array.from({ length: Math.min(make.length, longest - crew.length) + 1 }, (_, count) => [
          ...crew,
          ...make.slice(0, count),
        ]),
      ),
    [[]],
  );

/** Every number of teams of one make beyond those that were tried. */
const wholeLine = (
  line: readonly Team[],
  tried: number,
  { most, allowed }: Pick<Limits, 'most' | 'allowed'>,
  man: (crew: Team[]) => Placed[],
): Placed[] =>
  Array.from({ length: Math.min(most, line.length) }, (_, index) => index + 1)
    .filter((stages) => stages > Math.max(1, tried) && allowed(stages))
    .flatMap((stages) => man(line.slice(0, stages)));

/** The first teams of a line: the fewest that hold the model, and some more. */
const prefixes = (
  line: readonly Team[],
  { most, allowed, holds }: Omit<Limits, 'isLarge'>,
  man: (crew: Team[]) => Placed[],
): Placed[] => {
  const sites: Placed[] = [];
  let freeBytes = line[0]?.freeBytes ?? 0;
  for (let stages = 2; stages <= Math.min(most, line.length); stages += 1) {
    freeBytes += line[stages - 1]?.freeBytes ?? 0;
    if (!allowed(stages) || !holds(freeBytes)) continue;
    if (sites.length > 0 && !tryStages.includes(stages)) continue;
    sites.push(...man(line.slice(0, stages)));
    if (sites.length > 0 && stages >= Math.max(...tryStages)) break;
  }
  return sites;
};
