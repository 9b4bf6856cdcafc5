import { interconnectsOf, mostRanks } from '../engine-limits.ts';
import { headsOf } from './order.ts';
import { byLikeness } from './meshes.ts';
import type { Mesh } from './meshes.ts';
import type { Placeable } from './placeable.ts';
import type { Pool } from './pool.ts';
import type { Placed } from './appraise.ts';
import { rdmaPaths } from './paths.ts';
import type { Group, SiteSearch } from './sites.ts';
import { assignLayers } from './stages.ts';

/** Who may take one stage: one node, or a tensor group. */
interface Team {
  members: Placeable[];
  mode: 'None' | 'TCP' | 'RDMA';
  slowest: number;
  /** Of its slowest, for all of its ranks. */
  speed: number;
  freeBytes: number;
}

/** Teams that can pass activations on to each other in this way; no node is in two of them. */
interface Realm {
  teams: Team[];
  hop: Group['mode'];
  byNetwork: boolean;
}

/** More ways to man the stages than this are not all tried. */
const mostCrews = 256;
/** In large fleets, where one plan must not take longer than another fleet's hundred. */
const mostCrewsOfLarge = 8;
/** Groups that a hybrid is made of in large fleets. */
const enoughTeams = 16;
/** More meshes than this are not all tried for stages. */
const mostMeshes = 16;
/** Stages beyond those that memory needs that are tried in any case: what spreads prefill. */
const tryStages = [2, 4, 8];

/**
 * Sites for pipelines whose stages have `tensorSize` ranks each. Within one kind of machine the roomiest are
 * taken. Small fleets try every number of teams of each kind; beyond 256 of those, teams of one kind, or the
 * fastest, or the roomiest: polynomial, and exact where fleets are alike.
 */
export const stagedSites = (
  search: SiteSearch,
  tensorSize: number,
  allowed: (pipelineSize: number) => boolean,
): Placed[] => {
  const most = Math.min(
    Math.floor(mostRanks / tensorSize),
    search.evaluator.demand.model.layers.length,
  );
  const inRealms = realmsOf(search, tensorSize, most).flatMap((realm) =>
    crewsOf(realm.teams, { most, allowed, isLarge: isLarge(search.pool) }, (teams) =>
      manStages(search, tensorSize, teams, realm),
    ),
  );
  return tensorSize === 1 ? [...inRealms, ...alongPaths(search, allowed)] : inRealms;
};

/** Pipelines over RDMA through rings and chains, where each stage needs a cable to the next alone. */
const alongPaths = (search: SiteSearch, allowed: (stages: number) => boolean): Placed[] => {
  const able = interconnectsOf(search.evaluator.demand.engine, { tensorSize: 1, pipelineSize: 2 });
  if (!able.includes('RDMA') || search.want === 'TCP') return [];
  return rdmaPaths(search.topology, search.pool)
    .filter(({ length }) => allowed(length))
    .flatMap((path) => {
      const teams = path.map((candidate) => teamOf([candidate], 'None'));
      return manStages(search, 1, teams, { hop: 'RDMA', byNetwork: false });
    });
};

const manStages = (
  { evaluator }: SiteSearch,
  tensorSize: number,
  teams: Team[],
  { hop: hopMode, byNetwork }: Omit<Realm, 'teams'>,
): Placed[] => {
  const shape = { tensorSize, pipelineSize: teams.length };
  const { model, engine } = evaluator.demand;
  const roomBytes = teams.reduce((sum, { freeBytes }) => sum + freeBytes, 0) * shape.tensorSize;
  if (roomBytes < evaluator.leastBytes) return [];
  const ways = assignLayers(
    teams,
    model.layers.length,
    (stage, layers) => evaluator.memoryOf(shape, stage, layers).totalBytes,
    engine.pipeline?.uneven ?? false,
  );
  const mode = teams[0]?.mode === 'RDMA' ? 'RDMA' : hopMode;
  const candidates = teams.flatMap(({ members }) => members);
  return ways.map((ranges) => ({
    shape,
    candidates,
    ranges,
    mode,
    ...(hopMode === mode ? {} : { hopMode: 'TCP' as const }),
    byNetwork,
  }));
};

/** Full meshes, and the network that joins all nodes. */
const realmsOf = (search: SiteSearch, tensorSize: number, most: number): Realm[] => {
  const { pool, want, evaluator } = search;
  const able = interconnectsOf(evaluator.demand.engine, { tensorSize, pipelineSize: 2 });
  const realms: Realm[] = [];
  if (able.includes('RDMA') && want !== 'TCP') {
    for (const mesh of roomiestMeshes(pool, 'RDMA', evaluator.leastBytes)) {
      if (mesh.members.length < 2 * tensorSize) continue;
      realms.push({
        teams: teamsIn(mesh.members, tensorSize, 'RDMA'),
        hop: 'RDMA',
        byNetwork: false,
      });
    }
  }
  if (want !== 'RDMA') {
    const crowds = networkTeams(search, tensorSize, most).filter(({ length }) => length > 1);
    realms.push(...crowds.map((teams): Realm => ({ teams, hop: 'TCP', byNetwork: true })));
  }
  if (!isLarge(pool) && tensorSize === 1 && want !== 'RDMA' && able.includes('TCP')) {
    for (const mesh of roomiestMeshes(pool, 'TCP', evaluator.leastBytes)) {
      realms.push({ teams: teamsIn(mesh.members, 1, 'TCP'), hop: 'TCP', byNetwork: false });
    }
  }
  return realms;
};

/** All meshes of a small fleet; else for each set of kinds the roomiest and the smallest idle one with enough room. */
const roomiestMeshes = (
  { orders: { meshes } }: Pool,
  by: Mesh['mode'],
  leastBytes: number,
): Mesh[] => {
  const lists = meshes.filter(({ byIdle: [first] }) => first?.mode === by);
  const count = lists.reduce((sum, { byIdle }) => sum + byIdle.length, 0);
  if (count <= mostMeshes) return lists.flatMap(({ byIdle }) => byIdle);
  const roomiest = new Map<string, Mesh>();
  const smallest = new Map<string, Mesh>();
  for (const mesh of lists.flatMap(({ byIdle, busy }) => [
    ...idleHeads(byIdle),
    ...busy.slice(0, 1),
  ])) {
    const { kinds, freeBytes, members, idle } = mesh;
    const most = roomiest.get(kinds);
    if (!most || freeBytes > most.freeBytes) roomiest.set(kinds, mesh);
    if (idle < members.length || freeBytes < leastBytes) continue;
    const least = smallest.get(kinds);
    if (!least || members.length < least.members.length) smallest.set(kinds, mesh);
  }
  return [...new Set([...smallest.values(), ...roomiest.values()])];
};

/** One of each sort of mesh that is wholly idle. */
const idleHeads = (byIdle: readonly Mesh[]): Mesh[] => {
  return [...headsOf(byIdle, byLikeness)].flatMap((index) => {
    const mesh = byIdle[index];
    return mesh && mesh.idle === mesh.members.length ? [mesh] : [];
  });
};

/** Over the network a stage is a node, or a group by the best means there is; in small fleets by every means. */
const networkTeams = (search: SiteSearch, tensorSize: number, most: number): Team[][] => {
  const { pool, want, evaluator } = search;
  if (tensorSize === 1) {
    const perKind = pool.orders.roomiest.map((list) => list.slice(0, most));
    return [perKind.flat().map((candidate) => teamOf([candidate], 'None'))];
  }
  const tensor = evaluator.demand.engine.tensor?.interconnects ?? [];
  const modes = tensor.filter((mode) => want === 'Auto' || mode === want);
  const cabled: Team[][] = [];
  // In large fleets the best means is enough: 'RDMA' sorts before 'TCP'.
  for (const mode of modes.toSorted()) {
    const teams = cabledTeams(pool, tensorSize, mode, isLarge(pool) ? enoughTeams : 2 * most);
    if (isLarge(pool) && teams.length > 1) return [teams];
    cabled.push(teams);
  }
  if (!modes.includes('TCP')) return cabled;
  const anywhere = pool.orders.byKind.flatMap((candidates) =>
    teamsIn(candidates.slice(0, most * tensorSize), tensorSize, 'TCP'),
  );
  return [...cabled, anywhere];
};

/** Groups of nodes that are cabled to each other: small meshes first, or large ones would use up what they need. */
const cabledTeams = (
  { orders: { meshes } }: Pool,
  tensorSize: number,
  mode: 'RDMA' | 'TCP',
  most: number,
): Team[] => {
  const taken = new Set<Placeable>();
  const teams: Team[] = [];
  const lists = meshes.map(({ byIdle }) => byIdle);
  for (const list of lists.toSorted(bySize)) {
    const [first] = list;
    if (first?.mode !== mode || first.members.length < tensorSize) continue;
    for (let index = list.length - 1; index >= 0; index -= 1) {
      if (teams.length >= most) return teams;
      const mesh = list[index];
      if (!mesh) continue;
      const free = mesh.members.filter((member) => !taken.has(member));
      for (const team of teamsIn(free, tensorSize, mode)) {
        team.members.forEach((member) => taken.add(member));
        teams.push(team);
      }
    }
  }
  return teams;
};

/** The smallest first; of equal size those whose slowest is the fastest. */
const bySize = ([a]: readonly Mesh[], [b]: readonly Mesh[]): number =>
  a && b ? a.members.length - b.members.length || slowestIn(b) - slowestIn(a) : 0;

const slowestIn = ({ members }: Mesh): number =>
  Math.min(...members.map(({ seat }) => seat.kind?.id ?? 0));

/** Disjoint groups of equals as far as possible: the fastest together, then the roomiest. */
const teamsIn = (
  members: readonly Placeable[],
  tensorSize: number,
  mode: 'RDMA' | 'TCP',
): Team[] => {
  const sorted = members.toSorted(
    (a, b) =>
      (b.seat.kind?.id ?? 0) - (a.seat.kind?.id ?? 0) ||
      b.freeBytes - a.freeBytes ||
      a.siblings - b.siblings ||
      a.seat.index - b.seat.index,
  );
  return Array.from({ length: Math.floor(sorted.length / tensorSize) }, (_, index) =>
    teamOf(
      sorted.slice(index * tensorSize, (index + 1) * tensorSize),
      tensorSize === 1 ? 'None' : mode,
    ),
  );
};

const teamOf = (members: Placeable[], mode: Team['mode']): Team => {
  const [only] = members;
  if (only?.seat.kind && members.length === 1) {
    const { id, chip } = only.seat.kind;
    const { freeBytes } = only;
    return { members, mode, slowest: id, speed: chip.memoryBandwidthGBps, freeBytes };
  }
  const kinds = members.flatMap(({ seat }) => seat.kind ?? []);
  const slowest = Math.min(...kinds.map(({ id }) => id));
  const speed = Math.min(...kinds.map(({ chip }) => chip.memoryBandwidthGBps));
  return { members, mode, slowest, speed, freeBytes: Math.min(...members.map((m) => m.freeBytes)) };
};

/** The fastest first: it computes the first stage, and the embedding with it. */
const inOrder = (teams: readonly Team[]): Team[] =>
  teams.toSorted(
    (a, b) =>
      b.slowest - a.slowest ||
      b.freeBytes - a.freeBytes ||
      (a.members[0]?.seat.index ?? 0) - (b.members[0]?.seat.index ?? 0),
  );

/** Fleets in which not everything is tried: no island has so many nodes. */
const isLarge = ({ candidates }: Pool): boolean => candidates.length > mostRanks;

const crewsOf = (
  teams: readonly Team[],
  {
    most,
    allowed,
    isLarge,
  }: { most: number; allowed: (stages: number) => boolean; isLarge: boolean },
  man: (crew: Team[]) => Placed[],
): Placed[] => {
  const kinds = [...Map.groupBy(inOrder(teams), ({ slowest }) => slowest).values()];
  const ways = kinds.reduce((product, { length }) => product * (length + 1), 1);
  if (ways <= (isLarge ? mostCrewsOfLarge : mostCrews)) {
    return everyCrew(kinds)
      .filter((crew) => crew.length > 1 && crew.length <= most && allowed(crew.length))
      .flatMap(man);
  }
  const roomy = teams.toSorted(
    (a, b) =>
      b.freeBytes - a.freeBytes ||
      b.slowest - a.slowest ||
      (a.members[0]?.seat.index ?? 0) - (b.members[0]?.seat.index ?? 0),
  );
  return [...kinds, kinds.flat(), roomy].flatMap((line) => prefixes(line, most, allowed, man));
};

/** Any number of teams of each kind, the roomiest of it. */
const everyCrew = (kinds: readonly Team[][]): Team[][] =>
  kinds.reduce<Team[][]>(
    (crews, kind) =>
      crews.flatMap((crew) =>
        Array.from({ length: kind.length + 1 }, (_, count) => [...crew, ...kind.slice(0, count)]),
      ),
    [[]],
  );

/** The first teams of a line: the fewest that hold the model, and some more. */
const prefixes = (
  line: readonly Team[],
  most: number,
  allowed: (stages: number) => boolean,
  man: (crew: Team[]) => Placed[],
): Placed[] => {
  const sites: Placed[] = [];
  for (let stages = 2; stages <= Math.min(most, line.length); stages += 1) {
    if (!allowed(stages) || (sites.length > 0 && !tryStages.includes(stages))) continue;
    sites.push(...man(inOrder(line.slice(0, stages))));
    if (sites.length > 0 && stages >= Math.max(...tryStages)) break;
  }
  return sites;
};
