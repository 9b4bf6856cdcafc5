import assert from 'node:assert/strict';
import { it } from 'node:test';
import * as fc from '../support/fast-check.ts';
import { carvings } from '../../src/planner/search/carve.ts';
import type { Placeable } from '../../src/planner/search/placeable.ts';
import type { Team } from '../../src/planner/search/teams.ts';
import { maximalMeshes } from '../../src/planner/topology/cliques.ts';
import { createInventory } from '../../src/planner/inventory.ts';
import { cabled, catalogue } from './fleets.ts';
import { GiB } from './builders.ts';

const sorts = [
  { hardwareModel: 'Mac16,11', chip: 'M4 Pro', memoryBytes: 48 * GiB },
  { hardwareModel: 'Mac16,11', chip: 'M4 Pro', memoryBytes: 64 * GiB },
  { hardwareModel: 'Mac15,14', chip: 'M3 Ultra', memoryBytes: 512 * GiB },
];

/** Nodes of these sorts, as search has them. */
const nodesOf = (list: readonly number[]): Placeable[] => {
  const machines = list.flatMap((sort) => sorts[sort] ?? []);
  const { seats } = createInventory(cabled(machines, []), catalogue);
  const plain = { strain: 0, groups: 0, isCurrent: false, siblings: 0, isNearSibling: false };
  const bytes = { reserveBytes: 0, headroomBytes: 0, spareBytes: 0, alone: undefined };
  return seats.map((seat) => {
    const { node, host } = seat;
    return { node, host, seat, freeBytes: node.memoryBytes, ...bytes, ...plain };
  });
};

const meshesOf = (nodes: readonly Placeable[], pairs: readonly (readonly [number, number])[]) => {
  const peers = nodes.map((_, index) =>
    nodes.flatMap((__, other) =>
      pairs.some(([a, b]) => (a === index && b === other) || (a === other && b === index)) &&
      index !== other
        ? [other]
        : [],
    ),
  );
  return maximalMeshes(peers).map((mesh) => mesh.flatMap((index) => nodes[index] ?? []));
};

/** Every set of disjoint groups within one mesh, the plain way. */
const everyWay = (
  meshes: readonly (readonly Placeable[])[],
  nodes: readonly Placeable[],
  size: number,
): Placeable[][][] => {
  const [first, ...others] = nodes;
  if (!first) return [[]];
  const subsets = (list: readonly Placeable[], count: number): Placeable[][] =>
    count === 0
      ? [[]]
      : list.flatMap((each, index) =>
          subsets(list.slice(index + 1), count - 1).map((rest) => [each, ...rest]),
        );
  const groups = subsets(others, size - 1)
    .map((rest) => [first, ...rest])
    .filter((group) => meshes.some((mesh) => group.every((member) => mesh.includes(member))));
  return [
    ...everyWay(meshes, others, size),
    ...groups.flatMap((group) =>
      everyWay(
        meshes,
        others.filter((node) => !group.includes(node)),
        size,
      ).map((rest) => [group, ...rest]),
    ),
  ];
};

const kindsIn = (group: readonly Placeable[]): string =>
  group
    .map(({ seat }) => seat.kind?.id ?? 0)
    .toSorted((a, b) => a - b)
    .join();

const leastFree = (group: readonly Placeable[]): number =>
  Math.min(...group.map(({ freeBytes }) => freeBytes));

/** Of the groups of one sort of machines, how roomy they are, most first. */
const rooms = (groups: readonly (readonly Placeable[])[]): Map<string, number[]> =>
  new Map(
    [...Map.groupBy(groups, kindsIn)].map(([key, alike]) => [
      key,
      alike.map(leastFree).toSorted((a, b) => b - a),
    ]),
  );

const makesUpFor = (teams: readonly Team[], groups: readonly (readonly Placeable[])[]): boolean => {
  const own = rooms(teams.map(({ members }) => members));
  return [...rooms(groups)].every(([key, free]) =>
    free.every((bytes, index) => (own.get(key)?.[index] ?? 0) >= bytes),
  );
};

it('some carving makes up for every way to part nodes into groups, and each is one', () => {
  const pairs = fc.array(fc.tuple(fc.nat(6), fc.nat(6)), { maxLength: 20 });
  const lists = fc.array(fc.nat(2), { minLength: 2, maxLength: 7 });
  fc.assert(
    fc.property(lists, pairs, fc.constantFrom(2, 3), (list, cables, size) => {
      const nodes = nodesOf(list);
      const meshes = meshesOf(nodes, cables);
      const found = carvings(meshes, size, 'RDMA');
      for (const teams of found) {
        const members = teams.flatMap((team) => team.members);
        assert.equal(new Set(members).size, members.length);
        for (const team of teams) {
          assert.equal(team.members.length, size);
          assert.ok(meshes.some((mesh) => team.members.every((each) => mesh.includes(each))));
        }
      }
      for (const groups of everyWay(meshes, nodes, size)) {
        assert.ok(groups.length === 0 || found.some((teams) => makesUpFor(teams, groups)));
      }
    }),
    { numRuns: 150 },
  );
});

it('an island of equals is carved in one way, however many groups it makes', () => {
  const nodes = nodesOf(Array.from({ length: 8 }, () => 0));
  const found = carvings([nodes], 2, 'RDMA');
  assert.deepEqual(
    found.map((teams) => teams.length),
    [4],
  );
});

it('islands too tangled to be carved in every way are carved in one', () => {
  const list = Array.from({ length: 30 }, (_, index) => index % 3);
  const ring = list.map((_, index): [number, number] => [index, (index + 1) % list.length]);
  const nodes = nodesOf(list);
  const [teams, ...others] = carvings(meshesOf(nodes, ring), 2, 'RDMA');
  assert.deepEqual(others, []);
  assert.ok(teams && teams.length >= 10);
});
