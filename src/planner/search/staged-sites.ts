import { interconnectsOf, mostRanks } from '../engine-limits.ts';
import { endOfRun } from './order.ts';
import { byLikeness } from './meshes.ts';
import type { Mesh } from './meshes.ts';
import type { Placeable } from './placeable.ts';
import type { Pool } from './pool.ts';
import type { Placed } from './appraise.ts';
import type { Group, SiteSearch } from './sites.ts';
import { assignLayers } from './stages.ts';
import { cablePaths } from './cabled.ts';
import { carvings } from './carve.ts';
import { countTeams, crewsOf } from './crews.ts';
import type { Path } from './paths.ts';
import { aloneOf, likenessOf, linesOf, teamsIn } from './teams.ts';
import type { Line, Team } from './teams.ts';

/** Teams that can pass activations on to each other in this way; no node is in two of them. */
interface Realm extends Pick<Placed, 'byNetwork'> {
  lines: Line[];
  hop: Group['mode'];
}

/** Groups that a hybrid is made of in large fleets. */
const enoughTeams = 16;
/** More meshes than this are not all tried for stages. */
const mostMeshes = 16;
/** Fleets in which groups over the network are carved in every way. */
const fewNodes = 16;

/**
 * Sites for pipelines whose stages have `tensorSize` ranks each. Of teams of the same kinds the roomiest are
 * taken. Small fleets try every number of teams of each make, and every way to carve teams out of what is cabled
 * (see carve.ts), each crew once; large ones carve greedily and try few crews.
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
  const holds = (freeBytes: number): boolean =>
    freeBytes * tensorSize >= search.evaluator.leastBytes;
  const tried = new Set<string>();
  const inRealms = realmsOf(search, tensorSize, most).flatMap((realm) =>
    crewsOf(realm.lines, { most, allowed, holds, isLarge: isLarge(search.pool) }, (teams) => {
      const likeness = likenessOfCrew(teams, realm);
      if (tried.has(likeness)) return [];
      tried.add(likeness);
      return manStages(search, tensorSize, teams, realm);
    }),
  );
  return tensorSize === 1 ? [...inRealms, ...alongPaths(search, allowed)] : inRealms;
};

/** Crews that differ by who is in them alone do the same, but over TCP, where cables are of several types. */
const likenessOfCrew = (teams: readonly Team[], { hop, byNetwork }: Realm): string => {
  const told = teams.map((team) =>
    team.mode === 'TCP' && byNetwork === 'Hops'
      ? team.members.map(({ seat }) => seat.index).join('+')
      : likenessOf(team),
  );
  const isCabled = hop === 'TCP' && byNetwork === undefined;
  const members = isCabled
    ? teams.flatMap((team) => team.members.map(({ seat }) => seat.index))
    : [];
  return `${hop}/${byNetwork}/${told.join(';')}/${members.join()}`;
};

/** Pipelines through rings and chains, where each stage needs a cable to the next alone. */
const alongPaths = (search: SiteSearch, allowed: (stages: number) => boolean): Placed[] => {
  const { topology, pool, want, evaluator } = search;
  const able = interconnectsOf(evaluator.demand.engine, { tensorSize: 1, pipelineSize: 2 });
  const along = (hop: Realm['hop'], paths: readonly Path[]): Placed[] =>
    paths
      .filter(({ teams }) => allowed(teams.length))
      .flatMap(({ teams }) => manStages(search, 1, teams, { hop }));
  return [
    ...(able.includes('RDMA') && want !== 'TCP'
      ? along('RDMA', pool.orders.openIslands.paths())
      : []),
    ...(able.includes('TCP') && want !== 'RDMA' ? along('TCP', cablePaths(topology, pool)) : []),
  ];
};

const manStages = (
  { evaluator }: SiteSearch,
  tensorSize: number,
  teams: readonly Team[],
  { hop: hopMode, byNetwork }: Omit<Realm, 'lines'>,
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
  if (ways.length === 0) return [];
  const mode = teams[0]?.mode === 'RDMA' ? 'RDMA' : hopMode;
  const candidates = teams.flatMap(({ members }) => members);
  return ways.map((ranges) => ({
    shape,
    candidates,
    ranges,
    mode,
    ...(hopMode === mode ? {} : { hopMode: 'TCP' as const }),
    ...(byNetwork ? { byNetwork } : {}),
  }));
};

/** Full meshes, and the network that joins all nodes. */
const realmsOf = (search: SiteSearch, tensorSize: number, most: number): Realm[] => {
  const { pool, want, evaluator } = search;
  const able = interconnectsOf(evaluator.demand.engine, { tensorSize, pipelineSize: 2 });
  const realms: Realm[] = [];
  if (able.includes('RDMA') && want !== 'TCP') {
    for (const { members } of roomiestMeshes(pool, 'RDMA', evaluator.leastBytes)) {
      if (members.length < 2 * tensorSize) continue;
      const ways =
        tensorSize === 1 || isLarge(pool)
          ? [teamsIn(members, tensorSize, 'RDMA')]
          : carvings([members], tensorSize, 'RDMA');
      realms.push(...ways.map((teams): Realm => ({ lines: linesOf(teams), hop: 'RDMA' })));
    }
  }
  if (want !== 'RDMA') realms.push(...networkRealms(search, tensorSize, most));
  if (!isLarge(pool) && tensorSize === 1 && want !== 'RDMA' && able.includes('TCP')) {
    for (const { members } of roomiestMeshes(pool, 'TCP', evaluator.leastBytes)) {
      realms.push({ lines: linesOf(teamsIn(members, 1, 'TCP')), hop: 'TCP' });
    }
  }
  return realms.filter(({ lines }) => countTeams(lines) > 1);
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
  const tried = lists.flatMap(({ byIdle, busy }) => [...idleHeads(byIdle), ...busy.slice(0, 1)]);
  for (const mesh of tried) {
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
  const heads: Mesh[] = [];
  for (let head = 0; head < byIdle.length; head = endOfRun(byIdle, head, byLikeness)) {
    const mesh = byIdle[head];
    if (mesh && mesh.idle === mesh.members.length) heads.push(mesh);
  }
  return heads;
};

/** Over the network a stage is a node, or a group by the best means there is; in small fleets by every means. */
const networkRealms = (search: SiteSearch, tensorSize: number, most: number): Realm[] => {
  const { pool, want, evaluator } = search;
  if (tensorSize === 1) {
    // The fastest kind first, as a crew stands.
    const perKind = pool.orders.roomiest.toReversed().filter(({ length }) => length > 0);
    const lines = perKind.map((list) => list.slice(0, most).map(aloneOf));
    return [{ lines, hop: 'TCP', byNetwork: 'All' }];
  }
  const tensor = evaluator.demand.engine.tensor?.interconnects ?? [];
  const modes = tensor.filter((mode) => want === 'Auto' || mode === want);
  const cabled: Realm[] = [];
  // In large fleets the best means is enough: 'RDMA' sorts before 'TCP'.
  for (const mode of modes.toSorted()) {
    const ways = isLarge(pool)
      ? [carveSome(pool, tensorSize, mode)]
      : carvings(meshesOf(pool, mode), tensorSize, mode);
    const realms = ways.map((teams): Realm => ({
      lines: linesOf(teams),
      hop: 'TCP',
      byNetwork: 'Hops',
    }));
    if (isLarge(pool) && realms.some(({ lines }) => countTeams(lines) > 1)) return realms;
    cabled.push(...realms);
  }
  if (!modes.includes('TCP')) return cabled;
  const anywhere = networkTeams(pool, tensorSize, most);
  return [
    ...cabled,
    ...anywhere.map((teams): Realm => ({ lines: linesOf(teams), hop: 'TCP', byNetwork: 'All' })),
  ];
};

/** Without cables any nodes make a group: those of one kind, in small fleets of several in every way. */
const networkTeams = ({ orders: { byKind } }: Pool, tensorSize: number, most: number): Team[][] => {
  const ofOneKind = byKind.flatMap((candidates) =>
    teamsIn(candidates.slice(0, most * tensorSize), tensorSize, 'TCP'),
  );
  const nodes = byKind.flat();
  return nodes.length > fewNodes
    ? [ofOneKind]
    : [ofOneKind, ...carvings([nodes], tensorSize, 'TCP')];
};

const meshesOf = ({ orders: { meshes } }: Pool, by: Mesh['mode']): Placeable[][] =>
  meshes.flatMap(({ byIdle }) =>
    byIdle.flatMap(({ mode, members }) => (mode === by ? [members] : [])),
  );

/** Groups for a large fleet: small meshes first, or large ones would use up what they need. */
const carveSome = (
  { orders: { smallestFirst } }: Pool,
  tensorSize: number,
  mode: 'RDMA' | 'TCP',
): Team[] => {
  const taken = new Set<Placeable>();
  const teams: Team[] = [];
  for (const { byIdle: list } of smallestFirst) {
    const [first] = list;
    if (first?.mode !== mode || first.members.length < tensorSize) continue;
    for (let index = list.length - 1; index >= 0; index -= 1) {
      if (teams.length >= enoughTeams) return teams;
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

/** Fleets in which not everything is tried: no island has so many nodes. */
const isLarge = ({ candidates }: Pool): boolean => candidates.length > mostRanks;
