import assert from 'node:assert/strict';
import { test } from 'node:test';
import { routesFrom } from '../../src/controller/routes.ts';
import type { ModelDeploymentSpec } from '../../src/resources/types.ts';
import { profile, spec } from '../planner/builders.ts';
import { harness } from './harness.ts';
import type { Harness } from './harness.ts';
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

test('a rolling update leaves at most maxUnavailable groups missing', async () => {
  const world = await rolledOut(['a', 'b', 'c'], rolling({}, 1024));
  world.state.applyDeployment('m', rolling({}, 2048));
  const { fewest, most } = await extremesUntil(world, () => world.isReady('m'));
  assert.deepEqual({ fewest, most }, { fewest: 2, most: 3 });
  assert.deepEqual(contexts(world), [2048, 2048, 2048]);
});

test('with surge, a rolling update replaces groups without one missing', async () => {
  const surge = { maxUnavailable: 0, maxSurge: 1 };
  const world = await rolledOut(['a', 'b', 'c'], rolling(surge, 1024));
  world.state.applyDeployment('m', rolling(surge, 2048));
  const { fewest, most } = await extremesUntil(world, () => world.isReady('m'));
  assert.deepEqual({ fewest, most }, { fewest: 3, most: 4 });
  assert.deepEqual(contexts(world), [2048, 2048, 2048]);
});

test('a surge without room waits and says so, and goes on when there is room', async () => {
  const surge = { maxUnavailable: 0, maxSurge: 1 };
  const world = harness(['a', 'b', 'c', 'd']);
  world.models.set('file:///models/m', profile(30));
  world.state.applyNode('d', { ...world.state.node('d')!.spec, unschedulable: true });
  world.state.applyDeployment('m', rolling(surge, 1024));
  await world.startControlPlane();
  await world.runUntil('first revision', () => world.isReady('m'));
  world.state.applyDeployment('m', rolling(surge, 2048));
  await world.run(60);
  assert.equal(serving(world), 3);
  assert.deepEqual(contexts(world).slice(0, 3), [1024, 1024, 1024]);
  assert.match(world.condition('m', 'Ready')?.message ?? '', /group 3 is Waiting: .*GiB/);
  const { revision } = groups(world)[0]!;
  const own = `held by group \\d of this deployment at revision ${revision}\\)`;
  assert.match(world.condition('m', 'Ready')?.message ?? '', new RegExp(own));
  world.state.applyNode('d', { ...world.state.node('d')!.spec, unschedulable: false });
  const { fewest } = await extremesUntil(world, () => world.isReady('m'));
  assert.equal(fewest, 3);
});

test('a partition holds the groups below it at their revision, restarts included', async () => {
  const world = await rolledOut(['a', 'b', 'c'], rolling({}, 1024));
  const first = groups(world)[0]?.revision;
  world.state.applyDeployment('m', rolling({ partition: 2 }, 2048));
  await world.runUntil('partly', () => world.isReady('m'));
  assert.deepEqual(contexts(world), [1024, 1024, 2048]);
  assert.equal(world.deployment('m').status.currentRevision, first);
  assert.equal(world.deployment('m').status.updatedReplicas, 1);

  killGroup(world, 0);
  await world.runUntil('down', () => groups(world)[0]?.state !== 'Ready');
  await world.runUntil('again', () => world.isReady('m'));
  assert.deepEqual(contexts(world), [1024, 1024, 2048]);

  world.state.applyDeployment('m', rolling({}, 2048));
  await world.runUntil('all', () => world.isReady('m'));
  assert.deepEqual(contexts(world), [2048, 2048, 2048]);
});

const keepsFirst = (partition: number, contextLength: number): ModelDeploymentSpec => ({
  ...withRollback(contextLength),
  strategy: { ...rolling({ partition }, contextLength).strategy, onFailure: 'Rollback' },
});

test('a group that a partition keeps old fails on its own account: nothing goes back for it', async () => {
  const world = await rolledOut(['a', 'b', 'c'], keepsFirst(0, 1024));
  const first = groups(world)[0]?.revision ?? '';
  world.state.applyDeployment('m', keepsFirst(1, 2048));
  await world.runUntil('partly', () => world.isReady('m'));
  world.fleet.poison.set(first, { code: 'RankExited', message: 'no', terminal: false });
  killGroup(world, 0);
  await world.runUntil('stalled', () => world.summary('m', 'Stalled') !== undefined);
  await world.run(20);
  assert.equal(world.deployment('m').status.failedRevision, undefined);
  assert.deepEqual(contexts(world).slice(1), [2048, 2048]);

  world.state.applyDeployment('m', keepsFirst(0, 2048));
  await world.runUntil('all', () => world.isReady('m'));
  assert.deepEqual(contexts(world), [2048, 2048, 2048]);
});

test('old groups that do not serve are replaced at once, however many may be missing', async () => {
  const world = await rolledOut(['a', 'b', 'c'], rolling({}, 1024));
  const bad = rolling({ maxUnavailable: 3 }, 2048);
  world.state.applyDeployment('m', bad);
  await world.run(1);
  const revision = world.deployment('m').status.updateRevision ?? '';
  world.fleet.poison.set(revision, { code: 'RankExited', message: 'x', terminal: false });
  await world.runUntil('nothing serves', () => serving(world) === 0);
  world.state.applyDeployment('m', rolling({}, 512));
  await world.runUntil('third revision', () => world.isReady('m'));
  assert.deepEqual(contexts(world), [512, 512, 512]);
});

test('a newer restartTime restarts every group once, in turn, also over control planes', async () => {
  const world = await rolledOut(['a', 'b', 'c'], rolling({}, 1024));
  const before = groups(world).map(({ incarnation }) => incarnation);
  const restartTime = '2030-01-01T00:00:00Z';
  world.state.applyDeployment('m', rolling({}, 1024, { restartTime }));
  const { fewest } = await extremesUntil(world, () => world.isReady('m'));
  assert.equal(fewest, 2);
  const after = groups(world).map(({ incarnation }) => incarnation);
  assert.deepEqual(
    after,
    before.map((incarnation) => incarnation + 1),
  );
  await world.startControlPlane();
  world.state.applyDeployment('m', rolling({}, 1024, { restartTime: '2029-01-01T00:00:00Z' }));
  await world.run(60);
  assert.deepEqual(
    groups(world).map(({ incarnation }) => incarnation),
    after,
  );
});

test('minReadySeconds is waited for between two groups', async () => {
  const world = await rolledOut(['a', 'b', 'c'], rolling({}, 1024, { minReadySeconds: 30 }));
  world.state.applyDeployment('m', rolling({}, 2048, { minReadySeconds: 30 }));
  const startMs = world.clock.monotonicMs();
  await world.runUntil('ready', () => world.isReady('m'));
  assert.ok(world.clock.monotonicMs() - startMs >= 90_000);
});

test('a group that waits its turn is not late while others come on', async () => {
  const slow = { minReadySeconds: 50, progressDeadlineSeconds: 60 };
  const world = await rolledOut(['a', 'b', 'c'], rolling({}, 1024, slow));
  world.state.applyDeployment('m', rolling({}, 2048, slow));
  for (let second = 0; second < 400 && !world.isReady('m'); second += 1) {
    await world.run(1);
    assert.equal(world.summary('m', 'Stalled'), undefined);
  }
  assert.ok(world.isReady('m'));
});

const withRollback = (contextLength: number, overrides: Partial<ModelDeploymentSpec> = {}) =>
  rolling({}, contextLength, {
    restartPolicy: { maxGroupRestarts: 1, backoffSeconds: 1 },
    ...overrides,
    strategy: { ...spec().strategy, onFailure: 'Rollback' },
  });

const withHold = (contextLength: number): ModelDeploymentSpec => ({
  ...withRollback(contextLength),
  strategy: rolling({}, contextLength).strategy,
});

const recreatedWithRollback = (contextLength: number): ModelDeploymentSpec => ({
  ...withRollback(contextLength),
  strategy: { ...spec().strategy, onFailure: 'Rollback' },
});

/** Rolls out a revision whose ranks fail, until the deployment is Stalled. */
const failedRollout = async (
  make: (contextLength: number, overrides?: Partial<ModelDeploymentSpec>) => ModelDeploymentSpec,
): Promise<{ world: Harness; good: string; bad: string }> => {
  const world = await rolledOut(['a', 'b', 'c'], make(1024));
  const good = world.deployment('m').status.currentRevision ?? '';
  world.state.applyDeployment('m', make(2048));
  await world.runUntil('told', () => world.deployment('m').status.updateRevision !== good, 5);
  const bad = world.deployment('m').status.updateRevision ?? '';
  world.fleet.poison.set(bad, { code: 'RankExited', message: 'no memory', terminal: false });
  await world.runUntil('stalled', () => world.summary('m', 'Stalled') !== undefined);
  return { world, good, bad };
};

test('onFailure Rollback goes back to the revision before, in status only, and stays there', async () => {
  const { world, good, bad } = await failedRollout(withRollback);
  await world.runUntil('all serve', () => serving(world) === 3);
  const { status, spec: now } = world.deployment('m');
  assert.equal(now.runtime.contextLength, 2048);
  assert.deepEqual(contexts(world), [1024, 1024, 1024]);
  assert.deepEqual(
    [status.currentRevision, status.updateRevision, status.effectiveRevision],
    [good, bad, good],
  );
  assert.equal(world.summary('m', 'RolledBack'), 'True RestartLimitExceeded');
  assert.equal(world.summary('m', 'Stalled'), 'True RestartLimitExceeded');
  assert.equal(world.summary('m', 'Available'), 'True MinimumAvailable');
  assert.match(world.summary('m', 'Ready') ?? '', /^False/);
  assert.equal(world.events('RolledBack').length, 1);

  const incarnations = groups(world).map(({ incarnation }) => incarnation);
  await world.startControlPlane();
  await world.run(120);
  assert.deepEqual(
    groups(world).map(({ incarnation }) => incarnation),
    incarnations,
  );
});

test('after a rollback a restart is what tries the failed revision again', async () => {
  const { world, bad } = await failedRollout(withRollback);
  await world.runUntil('all serve', () => serving(world) === 3);
  world.fleet.poison.clear();
  world.state.applyDeployment('m', withRollback(2048, { restartTime: '2030-01-01T00:00:00Z' }));
  await world.runUntil('ready', () => world.isReady('m'));
  assert.equal(world.deployment('m').status.currentRevision, bad);
  assert.equal(world.summary('m', 'RolledBack'), undefined);
  assert.equal(world.deployment('m').status.failedRevision, undefined);
});

test('a restart that fails and is rolled back disturbs no group that serves', async () => {
  const { world } = await failedRollout(withRollback);
  await world.runUntil('all serve', () => serving(world) === 3);
  const incarnations = groups(world).map(({ incarnation }) => incarnation);
  const restartTime = '2030-01-01T00:00:00Z';
  world.state.applyDeployment('m', withRollback(2048, { restartTime }));
  const failedAt = () => world.deployment('m').status.failedRevision?.restartTime;
  await world.runUntil('tried again', () => failedAt() === restartTime);
  await world.runUntil('all serve again', () => serving(world) === 3);
  await world.run(120);
  const after = groups(world).map(({ incarnation }) => incarnation);
  assert.deepEqual(after.slice(0, 2), incarnations.slice(0, 2));
});

test('after a rollback the old spec is Ready without a restart', async () => {
  const { world } = await failedRollout(withRollback);
  await world.runUntil('all serve', () => serving(world) === 3);
  const incarnations = groups(world).map(({ incarnation }) => incarnation);
  world.state.applyDeployment('m', withRollback(1024));
  await world.runUntil('ready', () => world.isReady('m'), 10);
  assert.deepEqual(
    groups(world).map(({ incarnation }) => incarnation),
    incarnations,
  );
});

test('onFailure Hold leaves the failed group for people to look at, and the others serving', async () => {
  const { world } = await failedRollout(withHold);
  await world.run(60);
  assert.equal(serving(world), 2);
  assert.deepEqual(contexts(world), [1024, 1024, 2048]);
  assert.equal(groups(world)[2]?.state, 'Failed');
});

test('Recreate goes back as well when its rollout fails', async () => {
  const { world } = await failedRollout(recreatedWithRollback);
  await world.runUntil('all serve', () => serving(world) === 3);
  assert.deepEqual(contexts(world), [1024, 1024, 1024]);
});

test('scaling in the midst of an update ends at the new size and revision', async () => {
  const surge = { maxUnavailable: 1, maxSurge: 2 };
  for (const replicas of [1, 2, 5]) {
    const world = await rolledOut(['a', 'b', 'c'], rolling(surge, 1024));
    world.state.applyDeployment('m', rolling(surge, 2048));
    await world.run(4);
    world.state.applyDeployment('m', rolling(surge, 2048, { replicas }));
    await world.runUntil(`${replicas} groups`, () => world.isReady('m'));
    assert.deepEqual(
      contexts(world),
      Array.from({ length: replicas }, () => 2048),
    );
  }
});

test('a group drains: it gets nothing new, ends what is under way, then stops', async () => {
  const underWay = new Map<string, number>();
  const world = harness(['a', 'b', 'c']);
  world.state.applyDeployment('m', rolling({}, 1024));
  await world.startControlPlane({ requestsUnderWay: (endpoint) => underWay.get(endpoint) ?? 0 });
  await world.runUntil('first revision', () => world.isReady('m'));
  const busy = groups(world)[2]?.endpoint ?? '';
  underWay.set(busy, 1);
  world.state.applyDeployment('m', rolling({}, 2048));
  await world.runUntil('draining', () => groups(world)[2]?.state === 'Draining', 10);
  await world.run(20);
  assert.equal(groups(world)[2]?.state, 'Draining');
  const ranks = world.fleet.nodes.flatMap((node) => [...node.ranks.keys()]);
  assert.ok(ranks.some((id) => id.startsWith('default/m/2/')));
  const [route] = routesFrom(world.state.deployments());
  assert.deepEqual(route?.draining, [busy]);
  assert.equal(route?.endpoints.includes(busy), false);
  underWay.clear();
  await world.runUntil('ready', () => world.isReady('m'));
});

test('a request that never ends holds a group until drainTimeoutSeconds', async () => {
  const world = harness(['a', 'b', 'c']);
  world.state.applyDeployment('m', rolling({}, 1024));
  await world.startControlPlane({ requestsUnderWay: () => 1 });
  await world.runUntil('first revision', () => world.isReady('m'));
  const startMs = world.clock.monotonicMs();
  world.state.applyDeployment('m', rolling({}, 2048, { drainTimeoutSeconds: 90 }));
  await world.runUntil('stopping', () => groups(world)[2]?.state === 'Stopping');
  assert.ok(world.clock.monotonicMs() - startMs >= 89_000);
  await world.runUntil('ready', () => world.isReady('m'));
});

test('a draining group whose node dies, or whose deployment is deleted, stops and counts no failure', async () => {
  for (const end of ['NodeLost', 'Deleted'] as const) {
    const world = harness(['a', 'b', 'c']);
    world.state.applyDeployment('m', rolling({}, 1024));
    await world.startControlPlane({ requestsUnderWay: () => 1 });
    await world.runUntil('first revision', () => world.isReady('m'));
    world.state.applyDeployment('m', rolling({}, 2048, { drainTimeoutSeconds: 3600 }));
    await world.runUntil('draining', () => groups(world)[2]?.state === 'Draining', 10);
    if (end === 'Deleted') {
      world.state.delete({ kind: 'ModelDeployment', namespace: 'default', name: 'm' });
      await world.run(60);
      assert.equal(
        groups(world).every(({ state }) => state === 'Draining'),
        true,
      );
      continue;
    }
    crashNodeOf(world, 2);
    await world.runUntil('not draining', () => groups(world)[2]?.state !== 'Draining', 120);
    assert.equal(groups(world)[2]?.restarts, 0);
  }
});

test('while the new revision fails, an old group that goes down comes back as what it was', async () => {
  const { world } = await failedRollout(withHold);
  killGroup(world, 0);
  await world.runUntil('down', () => groups(world)[0]?.state !== 'Ready');
  await world.runUntil('again', () => serving(world) === 2);
  assert.deepEqual(contexts(world), [1024, 1024, 2048]);
});

test('a deployment that is scaled to zero keeps the revision that it may go back to', async () => {
  const world = await rolledOut(['a', 'b', 'c'], withRollback(1024));
  const good = world.deployment('m').status.currentRevision;
  world.state.applyDeployment('m', withRollback(2048, { replicas: 0 }));
  await world.runUntil('empty', () => world.isReady('m'));
  assert.equal(world.deployment('m').status.currentRevision, good);
});
