import assert from 'node:assert/strict';
import { test } from 'node:test';
import { builtInEngine } from '../../src/catalogue/engine-capabilities.ts';
import type { Catalogue } from '../../src/catalogue/facts.ts';
import { loadCatalogue } from '../../src/catalogue/load-catalogue.ts';
import { spec } from '../planner/builders.ts';
import { harness } from './harness.ts';
import type { Harness } from './harness.ts';

const full = loadCatalogue();
const [kernels] = full.performance.engines;
assert.ok(kernels);
/** As if the built-in engine had MLX's kernels: its own speed is not predicted. */
const predictable: Catalogue = {
  ...full,
  engines: [builtInEngine],
  performance: { ...full.performance, engines: [{ ...kernels, names: ['BuiltIn'] }] },
};

const minis = (names: string[]): Harness => {
  const world = harness(names);
  world.catalogue = predictable;
  for (const node of world.fleet.nodes) node.host = { model: 'Mac16,11', chip: 'Apple M4 Pro' };
  return world;
};

const single = { parallelism: { strategy: 'Single' as const } };
const least = (minTokensPerSecond: number) => ({
  degradation: { allow: [], minTokensPerSecond },
});
const predicted = (world: Harness, name: string) => world.deployment(name).status.plan?.predicted;

test('the status says how the group is expected to perform', async () => {
  const world = minis(['a']);
  world.state.applyDeployment('m', spec(single));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  assert.ok(Number(predicted(world, 'm')?.decodeTokensPerSecond) > 1);
  assert.ok(Number(predicted(world, 'm')?.prefillTokensPerSecond) > 1);
  assert.equal(predicted(world, 'm')?.correction, undefined);
});

test('no group starts that would be slower than minTokensPerSecond', async () => {
  const world = minis(['a']);
  world.state.applyDeployment('m', spec({ ...single, ...least(10_000) }));
  world.state.applyDeployment('n', spec({ ...single, ...least(1) }));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('n'));
  assert.match(world.summary('m', 'Planned') ?? '', /False BelowMinimumSpeed/);
  assert.ok(world.deployment('m').status.groups.every(({ members }) => members.length === 0));
});

test('where no speed is known, minTokensPerSecond is said not to be judged', async () => {
  const world = harness(['a']);
  world.state.applyDeployment('m', spec({ ...single, ...least(5) }));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  assert.match(
    world.deployment('m').status.plan?.explanation ?? '',
    /minTokensPerSecond is not judged yet: no speed is known/,
  );
});

test('what three groups measure corrects the next plan and moves none of them', async () => {
  const world = minis(['a', 'b', 'c', 'd']);
  world.state.applyDeployment('m', spec({ ...single, replicas: 3 }));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  const expected = Number(predicted(world, 'm')?.decodeTokensPerSecond);
  const starts = () => world.deployment('m').status.groups.map(({ incarnation }) => incarnation);
  const before = starts();
  for (const node of world.fleet.nodes) node.decodeTokensPerSecond = expected * 0.7;
  await world.run(60);
  assert.deepEqual(starts(), before);
  world.state.applyDeployment('n', spec(single));
  await world.runUntil('ready', () => world.isReady('n'));
  assert.equal(predicted(world, 'n')?.correction, '0.70');
  const corrected = Number(predicted(world, 'n')?.decodeTokensPerSecond);
  assert.ok(Math.abs(corrected / expected - 0.7) < 0.02, `${corrected} of ${expected}`);
  // The correction of then is taken out of what it was compared with, so that it does not undo itself.
  world.state.applyDeployment('o', spec(single));
  await world.runUntil('ready', () => world.isReady('o'));
  assert.equal(predicted(world, 'o')?.correction, '0.70');
});
