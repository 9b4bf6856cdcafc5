import { interconnectsOf, mostRanks } from '../engine-limits.ts';
import type { Shape } from '../shapes.ts';
import type { Mesh, Placeable, Pool } from './pool.ts';
import type { Placed } from './appraise.ts';
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
}

/** More ways to man the stages than this are not all tried. */
const mostCrews = 256;
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
  return realmsOf(search, tensorSize, most).flatMap((realm) =>
    crewsOf(realm.teams, most, allowed, (teams) =>
      manStages(search, { tensorSize, pipelineSize: teams.length }, teams, realm.hop),
    ),
  );
};

const manStages = (
  search: SiteSearch,
  shape: Shape,
  teams: Team[],
  hopMode: Group['mode'],
): Placed | undefined => {
  const { evaluator } = search;
  const { model, engine } = evaluator.demand;
  const roomBytes = teams.reduce((sum, { freeBytes }) => sum + freeBytes, 0) * shape.tensorSize;
  if (roomBytes < evaluator.leastBytes) return undefined;
  const ranges = assignLayers(
    teams,
    model.layers.length,
    (stage, layers) => evaluator.memoryOf(shape, stage, layers).totalBytes,
    engine.pipeline?.uneven ?? false,
  );
  if (!ranges) return undefined;
  const mode = teams[0]?.mode === 'RDMA' ? 'RDMA' : hopMode;
  return {
    shape,
    candidates: teams.flatMap(({ members }) => members),
    ranges,
    mode,
    ...(hopMode === mode ? {} : { hopMode: 'TCP' as const }),
  };
};

/** Full meshes, and the network that joins all nodes. */
const realmsOf = (search: SiteSearch, tensorSize: number, most: number): Realm[] => {
  const { pool, want, evaluator } = search;
  const able = interconnectsOf(evaluator.demand.engine, { tensorSize, pipelineSize: 2 });
  const realms: Realm[] = [];
  if (able.includes('RDMA') && want !== 'TCP') {
    for (const mesh of roomiestMeshes(pool, evaluator.leastBytes)) {
      if (mesh.members.length < 2 * tensorSize) continue;
      realms.push({ teams: teamsIn(mesh.members, tensorSize, 'RDMA'), hop: 'RDMA' });
    }
  }
  if (want === 'RDMA') return realms;
  const network = networkTeams(search, tensorSize, most);
  if (network.length > 1) realms.push({ teams: network, hop: 'TCP' });
  return realms;
};

/** For each set of kinds the mesh with the most room, and the smallest idle one that has enough. */
const roomiestMeshes = ({ meshes }: Pool, leastBytes: number): Mesh[] => {
  const roomiest = new Map<string, Mesh>();
  const smallest = new Map<string, Mesh>();
  for (const mesh of meshes.flat()) {
    if (mesh.mode !== 'RDMA') continue;
    const { kinds, freeBytes, members, idle } = mesh;
    const most = roomiest.get(kinds);
    if (!most || freeBytes > most.freeBytes) roomiest.set(kinds, mesh);
    if (idle < members.length || freeBytes < leastBytes) continue;
    const least = smallest.get(kinds);
    if (!least || members.length < least.members.length) smallest.set(kinds, mesh);
  }
  return [...new Set([...smallest.values(), ...roomiest.values()])];
};

/** Over the network a stage is a node, or a group whose own ranks are as close as can be. */
const networkTeams = (search: SiteSearch, tensorSize: number, most: number): Team[] => {
  const { pool, want, evaluator } = search;
  if (tensorSize === 1) {
    const perKind = pool.byKind.map((): Team[] => []);
    for (const candidate of pool.candidates) {
      const teams = perKind[candidate.seat.kind?.id ?? -1];
      if (teams && teams.length < most) teams.push(teamOf([candidate], 'None'));
    }
    return perKind.flat();
  }
  const tensor = evaluator.demand.engine.tensor?.interconnects ?? [];
  const mode = want !== 'TCP' && tensor.includes('RDMA') ? 'RDMA' : 'TCP';
  const taken = new Set<Placeable>();
  const teams: Team[] = [];
  for (const meshes of pool.meshes.toSorted(
    (a, b) => (b[0]?.members.length ?? 0) - (a[0]?.members.length ?? 0),
  )) {
    for (const mesh of meshes.toReversed()) {
      if (mesh.mode !== mode || teams.length >= 2 * most) break;
      const free = mesh.members.filter((member) => !taken.has(member));
      for (const team of teamsIn(free, tensorSize, mode)) {
        team.members.forEach((member) => taken.add(member));
        teams.push(team);
      }
    }
  }
  if (teams.length < 2 && tensor.includes('TCP') && want !== 'RDMA') {
    return pool.byKind.flatMap((candidates) =>
      teamsIn(candidates.slice(0, most * tensorSize), tensorSize, 'TCP'),
    );
  }
  return teams;
};

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

const crewsOf = (
  teams: readonly Team[],
  most: number,
  allowed: (stages: number) => boolean,
  man: (crew: Team[]) => Placed | undefined,
): Placed[] => {
  const kinds = [...Map.groupBy(inOrder(teams), ({ slowest }) => slowest).values()];
  const ways = kinds.reduce((product, { length }) => product * (length + 1), 1);
  if (ways <= mostCrews) {
    return everyCrew(kinds)
      .filter((crew) => crew.length > 1 && crew.length <= most && allowed(crew.length))
      .flatMap((crew) => man(crew) ?? []);
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
  man: (crew: Team[]) => Placed | undefined,
): Placed[] => {
  const sites: Placed[] = [];
  for (let stages = 2; stages <= Math.min(most, line.length); stages += 1) {
    if (!allowed(stages) || (sites.length > 0 && !tryStages.includes(stages))) continue;
    const site = man(inOrder(line.slice(0, stages)));
    if (site) sites.push(site);
    if (sites.length > 0 && stages >= Math.max(...tryStages)) break;
  }
  return sites;
};
