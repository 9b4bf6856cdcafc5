import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from '../../src/base/metrics.ts';
import { nodeSpec } from './harness.ts';
import type { Harness } from './harness.ts';
import {
  busy,
  full,
  groupOf,
  groupsOf,
  homeOf,
  keyOf,
  preemptor,
  serving,
  tensor2,
} from './preempting.ts';

test('a victim finishes what is under way; its room is nobody else’s meanwhile', async () => {
  const world = await serving(['a', 'b'], {
    one: full({ drainTimeoutSeconds: 5 }),
    two: full({ drainTimeoutSeconds: 60 }),
  });
  await busy(world);
  world.state.applyDeployment('chat', preemptor(tensor2));
  await world.runUntil('one is gone', () => groupOf(world, 'one')?.state === 'Waiting');
  assert.equal(groupOf(world, 'two')?.state, 'Draining');
  world.state.applyDeployment('late', full({ priority: 5 }));
  await world.run(20);
  assert.equal(groupOf(world, 'two')?.state, 'Draining');
  assert.deepEqual([homeOf(world, 'one'), homeOf(world, 'late')], ['', '']);
  await world.runUntil('chat is ready', () => world.isReady('chat'), 120);
  assert.deepEqual([homeOf(world, 'one'), homeOf(world, 'two')], ['', '']);
  assert.deepEqual(
    [groupOf(world, 'one')?.incarnation, groupOf(world, 'two')?.incarnation],
    [1, 1],
  );
});

test('a victim that has moved is not asked again, whatever control plane looks', async () => {
  const world = await serving(['a', 'b', 'c'], {
    one: full({ drainTimeoutSeconds: 5 }),
    two: full({ drainTimeoutSeconds: 200 }),
  });
  world.state.applyNode('c', nodeSpec({ taints: [{ key: 'k', effect: 'NoSchedule' }] }));
  await busy(world);
  world.state.applyDeployment('chat', preemptor(tensor2));
  await world.runUntil('one is gone', () => groupOf(world, 'one')?.state === 'Waiting');
  const placement = { ...full().placement, tolerations: [{ key: 'k' }] };
  world.state.applyDeployment('one', full({ placement }));
  await world.runUntil('it has moved', () => world.isReady('one'));
  assert.equal(groupOf(world, 'two')?.state, 'Draining');
  await busy(world);
  await world.run(60);
  assert.deepEqual([groupOf(world, 'one')?.incarnation, homeOf(world, 'one')], [2, 'c']);
  await world.runUntil('chat is ready', () => world.isReady('chat'), 300);
  assert.deepEqual([groupOf(world, 'one')?.incarnation, homeOf(world, 'one')], [2, 'c']);
});

for (const [title, change] of [
  ['is deleted', (world: Harness) => world.state.delete(keyOf('chat'))],
  [
    'has its priority lowered',
    (world) => world.state.applyDeployment('chat', preemptor({ ...tensor2, priority: 0 })),
  ],
  [
    'is paused',
    (world) => world.state.applyDeployment('chat', preemptor({ ...tensor2, paused: true })),
  ],
  [
    'is scaled to zero',
    (world) => world.state.applyDeployment('chat', preemptor({ ...tensor2, replicas: 0 })),
  ],
] as [string, (world: Harness) => void][]) {
  test(`the preemptor ${title} while victims drain: they come back, and others stay`, async () => {
    const world = await serving(['a', 'b'], { one: full(), two: full() });
    const requests = await busy(world);
    world.state.applyDeployment('chat', preemptor(tensor2));
    const isDraining = (name: string) => groupOf(world, name)?.state === 'Draining';
    await world.runUntil('draining', () => isDraining('one') && isDraining('two'));
    change(world);
    requests.end();
    await world.runUntil('back', () => world.isReady('one') && world.isReady('two'), 120);
    await world.run(60);
    assert.ok(world.isReady('one') && world.isReady('two'));
    assert.ok(!world.state.deployment('chat')?.status.readyReplicas);
  });
}

test('a node that is lost meanwhile: victims elsewhere are asked, or come back', async () => {
  const world = await serving(['a', 'b', 'c'], {
    one: full(),
    two: full(),
    three: full({ priority: 1 }),
  });
  const requests = await busy(world);
  const long = { ...tensor2, drainTimeoutSeconds: 600 };
  world.state.applyDeployment('chat', preemptor(long));
  await world.runUntil('draining', () => groupOf(world, 'two')?.state === 'Draining');
  const home = homeOf(world, 'two');
  world.fleet.node(home).crash();
  requests.end();
  await world.runUntil('chat is ready', () => world.isReady('chat'), 200);
  assert.ok(!homeOf(world, 'chat').split('+').includes(home));
  assert.equal(
    world.deployment('three').status.readyReplicas,
    0,
    'two nodes are left, and chat has both',
  );
});

test('a victim in the midst of a rollout counts no failure and is not rolled back', async () => {
  const strategy = {
    type: 'RollingUpdate' as const,
    rollingUpdate: { maxUnavailable: 1, maxSurge: 0, partition: 0 },
    onFailure: 'Rollback' as const,
  };
  const small = full({ replicas: 2, strategy });
  const world = await serving(['a', 'b'], { small });
  const newer = { ...small, runtime: { ...small.runtime, contextLength: 2048 } };
  world.state.applyDeployment('small', newer);
  await world.runUntil('half way', () =>
    groupsOf(world, 'small').some(({ contextLength }) => contextLength === 2048),
  );
  world.state.applyDeployment('chat', preemptor());
  await world.runUntil('chat is ready', () => world.isReady('chat'));
  await world.run(1000);
  assert.equal(world.summary('small', 'Stalled'), undefined);
  assert.equal(world.deployment('small').status.failedRevision, undefined);
  world.state.delete(keyOf('chat'));
  await world.runUntil('rolled out', () => world.isReady('small'));
  assert.deepEqual(
    groupsOf(world, 'small').map(({ contextLength, restarts }) => [contextLength, restarts]),
    [
      [2048, 0],
      [2048, 0],
    ],
  );
});

/** How many writes of deployments it takes until chat is Ready; a control plane starts after one of them. */
const preemptWithRestart = async (restartAfter: number): Promise<number> => {
  const world = await serving(['a', 'b', 'c'], {
    one: full(),
    two: full(),
    three: full({ priority: 1 }),
  });
  let writes = 0;
  let isDue = false;
  const put = world.state.put.bind(world.state);
  let known = world.state.statusWrites;
  world.state.put = (key, object) => {
    put(key, object);
    const isWrite = world.state.statusWrites > known && key.kind === 'ModelDeployment';
    known = world.state.statusWrites;
    if (!isWrite) return;
    writes += 1;
    isDue = writes === restartAfter;
    // As after kill -9: what it had still to do after this write it does not do.
    if (isDue) world.state.epoch += 1;
  };
  world.state.applyDeployment('chat', preemptor(tensor2));
  for (let step = 0; step < 1000 && !world.isReady('chat'); step += 1) {
    await world.run(0.5);
    if (!isDue) continue;
    isDue = false;
    await world.startControlPlane();
  }
  const where = `a new control plane after write ${restartAfter}`;
  assert.ok(world.isReady('chat'), where);
  await world.run(60);
  assert.ok(world.isReady('three'), where);
  const starts = ['one', 'two', 'three'].map((name) => groupOf(world, name)?.incarnation);
  assert.deepEqual(starts, [1, 1, 1], where);
  return writes;
};

test('a control plane that starts again after any write goes on where the last one stood', async () => {
  const writes = await preemptWithRestart(Infinity);
  assert.ok(writes > 5, `${writes} writes`);
  for (let at = 1; at <= writes; at += 1) await preemptWithRestart(at);
});

test('a deployment that cannot be looked at backs off also while a preemptor waits', async () => {
  const world = await serving(['a'], { small: full({ priority: 20 }) });
  const metrics = createMetrics();
  await world.startControlPlane({ metrics });
  world.state.applyDeployment('chat', preemptor());
  world.models.set('file:///models/broken', new Error('the disk is busy'));
  world.state.applyDeployment(
    'broken',
    full({ model: { uri: 'file:///models/broken', servedNames: [] } }),
  );
  await world.run(60);
  const text = await metrics.text();
  const counts =
    text.match(/^controller_runtime_reconcile_total\{.*ModelDeployment.*\} \d+$/gim) ?? [];
  const reconciles = counts.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  assert.ok(reconciles > 5 && reconciles < 200, `${reconciles} reconciles\n${counts.join('\n')}`);
});

test('groups of one rollout that wait for each other and for victims do not go round in circles', async () => {
  const world = await serving(['a', 'b', 'c', 'd'], { low: full({ replicas: 2, priority: 1 }) });
  world.state.applyDeployment('chat', full({ replicas: 3, priority: 10 }));
  await world.runUntil('two of three', () => world.deployment('chat').status.readyReplicas === 2);
  await world.run(10);
  await busy(world);
  const before = world.state.statusWrites;
  const put = world.state.put.bind(world.state);
  world.state.put = (key, object) => {
    assert.ok(world.state.statusWrites < before + 1000, 'a hot loop');
    put(key, object);
  };
  world.state.applyDeployment('chat', preemptor({ ...tensor2, replicas: 3 }));
  await world.run(30);
  const draining = groupsOf(world, 'chat').filter(({ state }) => state === 'Draining');
  assert.equal(draining.length, 2);
  assert.ok(world.state.statusWrites < before + 50, `${world.state.statusWrites - before} writes`);
  await world.runUntil('two pairs', () => world.deployment('chat').status.readyReplicas === 2, 300);
  assert.equal(world.deployment('low').status.readyReplicas, 0);
});
