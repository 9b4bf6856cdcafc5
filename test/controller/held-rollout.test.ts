import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EspalierError } from '../../src/base/errors.ts';
import type { ModelDeploymentSpec } from '../../src/resources/types.ts';
import { profile, spec } from '../planner/builders.ts';
import { harness } from './harness.ts';
import {
  contexts,
  crashNodeOf,
  extremesUntil,
  groups,
  killGroup,
  rolledOut,
  rolling,
  serving,
} from './rolling.ts';

const paused = (contextLength: number, overrides: Partial<ModelDeploymentSpec> = {}) =>
  rolling({}, contextLength, { paused: true, ...overrides });

const nodes = ['a', 'b', 'c', 'd'];

test('a pause stops a rolling update where it is, and resuming it goes on', async () => {
  const world = await rolledOut(nodes, rolling({}, 1024));
  world.state.applyDeployment('m', rolling({}, 2048));
  await world.runUntil('one moved', () => contexts(world)[2] === 2048 && serving(world) === 3);
  world.state.applyDeployment('m', paused(2048));
  await world.run(120);
  assert.deepEqual(contexts(world), [1024, 1024, 2048]);
  assert.equal(serving(world), 3);
  assert.equal(world.summary('m', 'Progressing'), 'Unknown Paused');
  assert.equal(world.summary('m', 'Ready'), 'False Paused');
  assert.equal(world.summary('m', 'Reconciling'), undefined);
  assert.match(world.condition('m', 'Ready')?.message ?? '', /2 of 3 groups stay as they are/);
  world.state.applyDeployment('m', rolling({}, 2048));
  await world.runUntil('ready', () => world.isReady('m'));
  assert.deepEqual(contexts(world), [2048, 2048, 2048]);
});

test('while paused a killed group and one that lost its node come back at the revision they ran', async () => {
  const world = await rolledOut(nodes, rolling({}, 1024));
  world.state.applyDeployment('m', rolling({}, 2048));
  await world.runUntil('one moved', () => contexts(world)[2] === 2048 && serving(world) === 3);
  world.state.applyDeployment('m', paused(2048));
  await world.run(5);
  for (const index of [0, 2]) {
    killGroup(world, index);
    await world.runUntil('down', () => serving(world) === 2);
    assert.equal(world.summary('m', 'Progressing'), 'Unknown Paused');
    assert.equal(world.summary('m', 'Reconciling')?.startsWith('True'), true);
    await world.runUntil('again', () => serving(world) === 3);
  }
  const before = groups(world)[1]?.members[0]?.nodeName;
  crashNodeOf(world, 1);
  await world.runUntil('lost', () => groups(world)[1]?.state !== 'Ready');
  await world.runUntil('elsewhere', () => serving(world) === 3);
  assert.notEqual(groups(world)[1]?.members[0]?.nodeName, before);
  assert.deepEqual(contexts(world), [1024, 1024, 2048]);
  assert.equal(world.summary('m', 'Reconciling'), undefined);
});

test('while paused it scales up and down at the revision that was rolled out last', async () => {
  const world = await rolledOut(nodes, rolling({}, 1024));
  world.state.applyDeployment('m', paused(2048, { replicas: 5 }));
  await world.runUntil('five serve', () => serving(world) === 5);
  assert.deepEqual(contexts(world), [1024, 1024, 1024, 1024, 1024]);
  world.state.applyDeployment('m', paused(2048, { replicas: 2 }));
  await world.runUntil('two left', () => groups(world).length === 2);
  assert.equal(serving(world), 2);
  assert.equal(world.summary('m', 'Progressing'), 'Unknown Paused');
});

test('a pause of what is rolled out leaves it Ready, also after scaling', async () => {
  const surge = { maxSurge: 1 };
  const world = await rolledOut(nodes, rolling(surge, 1024));
  world.state.applyDeployment('m', rolling(surge, 1024, { paused: true, replicas: 4 }));
  await world.runUntil('four', () => world.isReady('m'));
  world.state.applyDeployment('m', rolling(surge, 1024, { paused: true, replicas: 2 }));
  await world.runUntil('two', () => world.isReady('m'));
  assert.equal(groups(world).length, 2);
  assert.equal(world.summary('m', 'Progressing'), 'True RolledOut');
});

test('a restart that is asked for during a pause waits for its end', async () => {
  const world = await rolledOut(nodes, rolling({}, 1024));
  const restartTime = '2030-01-01T00:00:00Z';
  world.state.applyDeployment('m', paused(1024, { restartTime }));
  await world.run(60);
  assert.deepEqual(
    groups(world).map(({ incarnation }) => incarnation),
    [1, 1, 1],
  );
  assert.equal(world.summary('m', 'Ready'), 'False Paused');
  world.state.applyDeployment('m', rolling({}, 1024, { restartTime }));
  await world.runUntil('ready', () => world.isReady('m'));
  assert.deepEqual(
    groups(world).map(({ incarnation }) => incarnation),
    [2, 2, 2],
  );
});

const impatient = (contextLength: number, overrides: Partial<ModelDeploymentSpec> = {}) =>
  rolling({}, contextLength, {
    progressDeadlineSeconds: 60,
    strategy: { ...spec().strategy, onFailure: 'Rollback' },
    ...overrides,
  });

test('a pause does not count for the progress deadline and nothing is rolled back meanwhile', async () => {
  const world = await rolledOut(nodes, impatient(1024));
  world.state.applyDeployment('m', impatient(2048));
  await world.runUntil('one moved', () => contexts(world)[2] === 2048 && serving(world) === 3);
  world.state.applyDeployment('m', impatient(2048, { paused: true }));
  await world.run(300);
  assert.equal(world.summary('m', 'Stalled'), undefined);
  assert.deepEqual(contexts(world), [1024, 1024, 2048]);
  world.state.applyDeployment('m', impatient(2048));
  await world.runUntil('ready', () => world.isReady('m'));
});

const obstacles: [what: string, overrides: Partial<ModelDeploymentSpec>, stalled: RegExp][] = [
  [
    'a spec without a plan',
    { parallelism: { strategy: 'Tensor', tensorSize: 3 } },
    /^True Indivisible/,
  ],
  [
    'a field that does not exist yet',
    { runtime: { ...spec().runtime, name: 'MLX' } },
    /^True NotAvailableYet/,
  ],
  [
    'a model that is not there',
    { model: { ...spec().model, uri: 'file:///models/gone' } },
    /^True ModelFolderMissing/,
  ],
];

for (const [what, overrides, stalled] of obstacles) {
  for (const type of ['Recreate', 'RollingUpdate'] as const) {
    test(`${type}: behind ${what}, old groups are healed and scaled at their own revision`, async () => {
      const strategy = { ...rolling({}, 1024).strategy, type };
      const world = harness(nodes);
      world.models.set('file:///models/gone', new EspalierError('ModelFolderMissing', 'no such'));
      world.state.applyDeployment('m', rolling({}, 1024, { strategy }));
      await world.startControlPlane();
      await world.runUntil('first revision', () => world.isReady('m'));
      const revision = world.deployment('m').status.currentRevision;

      world.state.applyDeployment('m', { ...rolling({}, 1024), ...overrides, strategy });
      await world.run(5);
      assert.match(world.summary('m', 'Stalled') ?? '', stalled);
      const { fewest } = await extremesUntil(world, () => world.clock.monotonicMs() > 60_000);
      assert.equal(fewest, 3, 'nothing gives way to it');

      crashNodeOf(world, 0);
      await world.runUntil('lost', () => serving(world) < 3);
      await world.runUntil('planned anew', () => serving(world) === 3);
      killGroup(world, 2);
      await world.runUntil('down', () => serving(world) < 3);
      await world.runUntil('again', () => serving(world) === 3);
      world.state.applyDeployment('m', {
        ...rolling({}, 1024, { replicas: 4 }),
        ...overrides,
        strategy,
      });
      await world.runUntil('scaled', () => serving(world) === 4);
      assert.ok(groups(world).every((group) => group.revision === revision));
      assert.match(world.summary('m', 'Stalled') ?? '', stalled);
    });
  }
}

for (const strategy of [spec().strategy, rolling({}, 1024).strategy]) {
  test(`${strategy.type}: behind a spec without room, a lost group is planned for the old revision`, async () => {
    const world = harness(['a', 'b']);
    const ask = (contextLength: number) =>
      world.state.applyDeployment('m', rolling({}, contextLength, { replicas: 1, strategy }));
    ask(1024);
    await world.startControlPlane();
    await world.runUntil('ready', () => world.isReady('m'));
    ask(131072);
    await world.run(10);
    const before = groups(world)[0]?.members[0]?.nodeName;
    crashNodeOf(world, 0);
    await world.runUntil('lost', () => serving(world) === 0);
    await world.runUntil('planned anew', () => serving(world) === 1);
    assert.notEqual(groups(world)[0]?.members[0]?.nodeName, before);
    assert.deepEqual(contexts(world), [1024]);
    assert.match(world.condition('m', 'Ready')?.message ?? '', /keeps running.*GiB/);
    assert.equal(world.condition('m', 'Planned')?.status, 'False');
  });
}

test('where the new revision fits only without others of the old one, a lost group comes back as what it was', async () => {
  const world = harness(nodes);
  world.models.set('file:///models/m', profile(30));
  world.state.applyDeployment('m', rolling({}, 1024));
  await world.startControlPlane();
  await world.runUntil('first revision', () => world.isReady('m'));
  const used = groups(world).flatMap(({ members }) => members.map(({ nodeName }) => nodeName));
  const spare = nodes.find((name) => !used.includes(name)) ?? '';
  const keep = { ...world.state.node(spare)!.spec };
  world.state.applyNode(spare, { ...keep, unschedulable: true });
  const parallelism = { strategy: 'Pipeline', pipelineSize: 2 } as const;
  world.state.applyDeployment('m', rolling({}, 1024, { parallelism }));
  await world.run(60);
  assert.equal(serving(world), 3);
  world.state.applyNode(spare, keep);
  crashNodeOf(world, 0);
  crashNodeOf(world, 1);
  await world.runUntil('lost', () => serving(world) === 1);
  await world.runUntil('one planned anew', () => serving(world) === 2);
  const starts = groups(world).map(({ incarnation }) => incarnation);
  await world.run(120);
  assert.equal(serving(world), 2);
  assert.deepEqual(
    groups(world).map(({ incarnation }) => incarnation),
    starts,
  );
});

test('while the new revision fails, an old group that loses its node is planned as what it was', async () => {
  const world = await rolledOut(nodes, rolling({}, 1024));
  world.state.applyDeployment('m', rolling({}, 2048));
  await world.run(1);
  const bad = world.deployment('m').status.updateRevision ?? '';
  world.fleet.poison.set(bad, { code: 'RankExited', message: 'no memory', terminal: false });
  await world.runUntil('it fails', () => (groups(world)[2]?.restarts ?? 0) > 0);
  crashNodeOf(world, 0);
  await world.runUntil('lost', () => groups(world)[0]?.state !== 'Ready');
  await world.runUntil('planned anew', () => groups(world)[0]?.state === 'Ready');
  assert.deepEqual(contexts(world), [1024, 1024, 2048]);
});

const model = (name: string) => ({ ...spec().model, uri: `file:///models/${name}` });

test('a group of an old revision is planned with the model of that revision', async () => {
  const world = harness(nodes);
  world.models.set('file:///models/old', profile(8));
  world.models.set('file:///models/new', profile(40));
  world.state.applyDeployment('m', rolling({}, 1024, { model: model('old') }));
  await world.startControlPlane();
  await world.runUntil('first revision', () => world.isReady('m'));
  const memoryBytes = groups(world)[0]?.members[0]?.memoryBytes;
  world.state.applyDeployment('m', paused(1024, { model: model('new') }));
  await world.run(5);
  crashNodeOf(world, 0);
  await world.runUntil('lost', () => serving(world) < 3);
  await world.runUntil('planned anew', () => serving(world) === 3);
  assert.equal(groups(world)[0]?.members[0]?.memoryBytes, memoryBytes);
  world.models.set('file:///models/old', new EspalierError('ModelFolderMissing', 'gone'));
  await world.run(60);
  assert.equal(serving(world), 3);
});
