import assert from 'node:assert/strict';
import { test } from 'node:test';
import { builtInEngine } from '../../src/catalogue/engine-capabilities.ts';
import type { Catalogue } from '../../src/catalogue/facts.ts';
import { loadCatalogue } from '../../src/catalogue/load-catalogue.ts';
import type { ModelDeploymentSpec } from '../../src/resources/types.ts';
import { spec } from '../planner/builders.ts';
import { harness, nodeSpec } from './harness.ts';
import type { Harness } from './harness.ts';

const GiB = 2 ** 30;
const single = { parallelism: { strategy: 'Single' as const } };
const full = loadCatalogue();
const [kernels] = full.performance.engines;
assert.ok(kernels);
/** As if the built-in engine had MLX's kernels, every chip `times` as fast as it is. */
const asFastAs = (times: number): Catalogue => ({
  ...full,
  chips: full.chips.map((chip) => ({
    ...chip,
    memoryBandwidthGBps: chip.memoryBandwidthGBps * times,
  })),
  engines: [builtInEngine],
  performance: { ...full.performance, engines: [{ ...kernels, names: ['BuiltIn'] }] },
});
const pro = { model: 'Mac16,11', chip: 'Apple M4 Pro' };
const ultra = { model: 'Mac15,14', chip: 'Apple M3 Ultra' };

/** A group on each of its nodes, in order of the groups. */
const homes = (world: Harness): string =>
  world
    .deployment('m')
    .status.groups.map(({ members }) => members.map(({ nodeName }) => nodeName).join('+'))
    .join();
const starts = (world: Harness): number[] =>
  world.deployment('m').status.groups.map(({ incarnation }) => incarnation);

const deployed = async (
  world: Harness,
  overrides: Partial<ModelDeploymentSpec> = single,
): Promise<void> => {
  world.state.applyDeployment('m', spec(overrides));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
};

let restarts = 0;
const restart = async (world: Harness, overrides: Partial<ModelDeploymentSpec> = single) => {
  const before = starts(world);
  restarts += 1;
  const restartTime = new Date(Date.UTC(2026, 0, 1) + restarts * 1000).toISOString();
  world.state.applyDeployment('m', spec({ ...overrides, restartTime }));
  const isAnew = () =>
    starts(world).every((incarnation, index) => incarnation > (before[index] ?? 0));
  await world.runUntil('ready again', () => isAnew() && world.isReady('m'));
};

test('a faster node that joins moves nothing; the next restart takes it', async () => {
  const world = harness(['a', 'b']);
  world.catalogue = asFastAs(1);
  world.fleet.node('a').host = pro;
  world.fleet.node('b').host = ultra;
  world.fleet.node('b').crash();
  await deployed(world);
  assert.equal(homes(world), 'a');
  world.fleet.node('b').boot();
  await world.run(300);
  assert.deepEqual([homes(world), starts(world)], ['a', [1]]);
  await restart(world);
  assert.equal(homes(world), 'b');
});

test('a restart stays where it ran, as long as nothing is better by 15 %', async () => {
  const world = harness(['a', 'b', 'c']);
  world.catalogue = asFastAs(1);
  for (const node of world.fleet.nodes) node.host = pro;
  world.fleet.node('a').crash();
  world.fleet.node('c').memoryBytes = 64 * GiB;
  world.fleet.node('c').crash();
  await deployed(world);
  assert.equal(homes(world), 'b');
  world.fleet.node('a').boot();
  world.fleet.node('c').boot();
  await world.run(60);
  for (const round of [1, 2, 3]) {
    await restart(world);
    assert.equal(homes(world), 'b', `restart ${round}`);
  }
});

test('a control plane whose predictions are better moves nothing by itself', async () => {
  const world = harness(['a', 'b', 'c']);
  world.catalogue = asFastAs(1);
  world.fleet.node('a').host = pro;
  world.fleet.node('b').host = pro;
  world.fleet.node('c').host = ultra;
  world.state.applyNode('c', nodeSpec({ unschedulable: true }));
  await deployed(world, { ...single, replicas: 2 });
  const [before, documents] = [homes(world), world.fleet.documents()];
  assert.equal(before, 'a,b');
  world.state.applyNode('c', nodeSpec());
  world.catalogue = asFastAs(3);
  await world.startControlPlane();
  await world.run(300);
  assert.deepEqual([homes(world), starts(world)], [before, [1, 1]]);
  assert.deepEqual(
    world.fleet.documents().map(({ ranks }) => ranks),
    documents.map(({ ranks }) => ranks),
  );
});

test('two groups go to two nodes, one is lost with a node, and a restart parts them again', async () => {
  const world = harness(['a', 'b']);
  world.fleet.node('a').memoryBytes = 192 * GiB;
  const two = { ...single, replicas: 2 };
  await deployed(world, two);
  assert.deepEqual(homes(world).split(',').toSorted(), ['a', 'b']);
  const kept = world
    .deployment('m')
    .status.groups.find(({ members }) => members[0]?.nodeName === 'a');
  world.fleet.node('b').crash();
  await world.runUntil('both on a', () => homes(world) === 'a,a' && world.isReady('m'));
  const stayed = world.deployment('m').status.groups[kept?.index ?? 0];
  assert.equal(stayed?.incarnation, 1, 'the group that lost nothing went on');
  world.fleet.node('b').boot();
  await world.run(120);
  assert.equal(homes(world), 'a,a', 'a node that comes back moves nothing');
  await restart(world, two);
  assert.deepEqual(homes(world).split(',').toSorted(), ['a', 'b']);
});

test('a group that failed for good where it was is not bound to that place', async () => {
  const world = harness(['a', 'b']);
  world.fleet.node('a').memoryBytes = 64 * GiB;
  world.fleet.poison.set('m', {
    code: 'RankExited',
    message: 'out of luck',
    terminal: true,
  });
  world.state.applyDeployment('m', spec(single));
  await world.startControlPlane();
  await world.runUntil('failed', () => world.deployment('m').status.groups[0]?.state === 'Failed');
  assert.equal(homes(world), 'a');
  world.fleet.node('b').memoryBytes = 128 * GiB;
  await world.run(30);
  world.fleet.poison.clear();
  world.state.applyDeployment('m', spec({ ...single, minReadySeconds: 1 }));
  await world.runUntil('ready', () => world.isReady('m'));
  assert.equal(homes(world), 'b');
});
