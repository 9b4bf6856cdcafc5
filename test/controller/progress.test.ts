import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ModelDeploymentSpec } from '../../src/resources/types.ts';
import { spec } from '../planner/builders.ts';
import type { Harness } from './harness.ts';
import { contexts, groups, killGroup, rolledOut, rolling, serving } from './rolling.ts';

const deadlineSeconds = 120;
const nodes = ['a', 'b', 'c', 'd'];

/** Any number of restarts, so that only the deadline can end a crash loop. */
const stubborn = (
  contextLength: number,
  onFailure: 'Hold' | 'Rollback',
  overrides: Partial<ModelDeploymentSpec> = {},
): ModelDeploymentSpec =>
  rolling({}, contextLength, {
    progressDeadlineSeconds: deadlineSeconds,
    restartPolicy: { maxGroupRestarts: 100, backoffSeconds: 1 },
    strategy: { ...spec().strategy, onFailure },
    ...overrides,
  });

const poison = async (world: Harness): Promise<void> => {
  await world.run(1);
  const revision = world.deployment('m').status.updateRevision ?? '';
  world.fleet.poison.set(revision, { code: 'RankExited', message: 'no memory', terminal: false });
};

test('restarts of a crash loop are no progress: the rollout goes back at its deadline', async () => {
  const world = await rolledOut(nodes, stubborn(1024, 'Rollback'));
  world.state.applyDeployment('m', stubborn(2048, 'Rollback'));
  const startMs = world.clock.monotonicMs();
  await poison(world);
  await world.runUntil('gone back', () => world.summary('m', 'RolledBack') !== undefined);
  const tookSeconds = (world.clock.monotonicMs() - startMs) / 1000;
  assert.ok(tookSeconds < deadlineSeconds + 60, `${tookSeconds} s`);
  assert.equal(world.summary('m', 'RolledBack'), 'True ProgressDeadlineExceeded');
  await world.runUntil('all serve', () => serving(world) === 3);
  assert.deepEqual(contexts(world), [1024, 1024, 1024]);
});

test('groups that answer for a moment and crash again are no progress the second time', async () => {
  const patient = { minReadySeconds: 20 };
  const world = await rolledOut(nodes, stubborn(1024, 'Rollback', patient));
  world.state.applyDeployment('m', stubborn(2048, 'Rollback', patient));
  const startMs = world.clock.monotonicMs();
  const isCrashing = () =>
    groups(world).some(({ state, contextLength }) => state === 'Ready' && contextLength === 2048);
  for (let second = 0; second < 600 && !world.summary('m', 'RolledBack'); second += 1) {
    if (isCrashing()) killGroup(world, 2);
    await world.run(1);
  }
  assert.equal(world.summary('m', 'RolledBack'), 'True ProgressDeadlineExceeded');
  assert.ok(world.clock.monotonicMs() - startMs < (deadlineSeconds + 90) * 1000);
});

test('with Hold a crash loop is Stalled at the deadline, tried on, and not Stalled once it comes further', async () => {
  const world = await rolledOut(nodes, stubborn(1024, 'Hold'));
  world.state.applyDeployment('m', stubborn(2048, 'Hold'));
  await poison(world);
  await world.runUntil('stalled', () => world.summary('m', 'Stalled') !== undefined, 200);
  assert.equal(world.summary('m', 'Stalled'), 'True ProgressDeadlineExceeded');
  assert.match(world.condition('m', 'Stalled')?.message ?? '', /no group came further for 120 s/);
  const { incarnation = 0 } = groups(world)[2] ?? {};
  await world.runUntil('another try', () => (groups(world)[2]?.incarnation ?? 0) > incarnation);
  assert.equal(world.summary('m', 'Stalled'), 'True ProgressDeadlineExceeded');
  world.fleet.poison.clear();
  await world.runUntil('ready', () => world.isReady('m'));
  assert.equal(world.deployment('m').status.progress, undefined);
});

test('what was rolled out and fails later has its whole deadline, and so has a control plane that starts', async () => {
  const world = await rolledOut(nodes, stubborn(1024, 'Hold'));
  await world.run(deadlineSeconds * 2);
  const { updateRevision = '' } = world.deployment('m').status;
  world.fleet.poison.set(updateRevision, { code: 'RankExited', message: 'x', terminal: false });
  const startMs = world.clock.monotonicMs();
  killGroup(world, 0);
  await world.runUntil('down', () => serving(world) === 2);
  await world.run(30);
  const before = world.deployment('m').status.progress;
  await world.startControlPlane();
  await world.run(5);
  assert.deepEqual(world.deployment('m').status.progress, before);
  await world.runUntil('stalled', () => world.summary('m', 'Stalled') !== undefined, 200);
  const tookSeconds = (world.clock.monotonicMs() - startMs) / 1000;
  assert.ok(tookSeconds >= deadlineSeconds && tookSeconds < deadlineSeconds + 60, `${tookSeconds}`);
});

test('a rollout of many groups is not late while each comes on, drains included', async () => {
  const slow = { replicas: 5, progressDeadlineSeconds: 40, drainTimeoutSeconds: 90 };
  const world = await rolledOut(nodes, stubborn(1024, 'Rollback', slow));
  await world.startControlPlane({ requestsUnderWay: () => 1 });
  world.state.applyDeployment('m', stubborn(2048, 'Rollback', slow));
  for (let second = 0; second < 1200 && !world.isReady('m'); second += 1) {
    await world.run(1);
    assert.equal(world.summary('m', 'Stalled'), undefined);
  }
  assert.deepEqual(contexts(world), [2048, 2048, 2048, 2048, 2048]);
});
