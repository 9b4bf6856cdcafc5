import assert from 'node:assert/strict';
import { test } from 'node:test';
import { profile, spec } from '../planner/builders.ts';
import { nodeSpec } from './harness.ts';
import {
  busy,
  full,
  groupOf,
  groupsOf,
  homeOf,
  keyOf,
  preemptor,
  reasonOf,
  serving,
  tensor2,
} from './preempting.ts';

test('priority alone decides who waits longer, and stops nobody', async () => {
  const world = await serving(['a'], { first: full() });
  for (const [name, priority] of [
    ['old', 0],
    ['middle', 5],
    ['young', 10],
  ] as const) {
    world.state.applyDeployment(name, full({ priority }));
    await world.run(2);
  }
  await world.run(60);
  assert.ok(world.isReady('first'));
  world.state.delete(keyOf('first'));
  await world.runUntil('young', () => world.isReady('young'));
  world.state.delete(keyOf('young'));
  await world.runUntil('middle', () => world.isReady('middle'));
  assert.equal(homeOf(world, 'old'), '');
});

test('a group of higher priority takes the place of one of lower priority, which comes back when it is gone', async () => {
  const world = await serving(['a'], { small: full() });
  world.state.applyDeployment('chat', preemptor());
  await world.runUntil('it waits', () => reasonOf(world, 'chat') === 'AwaitingPreemption');
  assert.equal(
    groupOf(world, 'chat')?.message,
    'waits for default/small group 0 (priority 0) to leave a',
  );
  await world.runUntil('chat is ready', () => world.isReady('chat'));
  const victim = groupOf(world, 'small');
  assert.deepEqual([victim?.state, victim?.reason], ['Waiting', 'Preempted']);
  assert.equal(victim?.message, 'default/chat (priority 10) takes its place');
  assert.equal(victim?.restarts, 0);
  assert.equal(groupOf(world, 'chat')?.preemption, undefined);
  assert.equal(world.summary('small', 'Ready'), 'False Preempted');
  assert.deepEqual(
    world.events('Preempted').map(({ type, count, regarding }) => [type, count, regarding.name]),
    [['Warning', 1, 'small']],
  );
  assert.deepEqual(
    world.events('AwaitingPreemption').map(({ type, regarding }) => [type, regarding.name]),
    [['Normal', 'chat']],
  );

  await world.run(1000);
  assert.equal(world.summary('small', 'Stalled'), undefined, 'whatever its progress deadline');
  assert.ok(world.isReady('chat'));
  const writes = world.state.statusWrites;
  await world.run(120);
  assert.equal(world.state.statusWrites, writes, 'nothing is written while nothing changes');

  world.state.delete(keyOf('chat'));
  await world.runUntil('small is back', () => world.isReady('small'), 60);
  assert.equal(world.summary('small', 'Stalled'), undefined);
});

test('a victim moves to other nodes that have room', async () => {
  const world = await serving(['a', 'b'], { small: full() });
  world.state.applyNode('b', nodeSpec({ taints: [{ key: 'k', effect: 'NoSchedule' }] }));
  const tolerant = { placement: { ...spec().placement, tolerations: [{ key: 'k' }] } };
  world.state.applyDeployment('small', full(tolerant));
  await world.runUntil('small is ready', () => world.isReady('small'));
  assert.equal(homeOf(world, 'small'), 'a');
  world.state.applyDeployment('chat', preemptor());
  await world.runUntil('both', () => world.isReady('chat') && world.isReady('small'));
  assert.deepEqual([homeOf(world, 'chat'), homeOf(world, 'small')], ['a', 'b']);
});

for (const [title, low, high] of [
  ['of the same priority', 10, { priority: 10 }],
  ['of a higher priority', 11, { priority: 10 }],
  ['where the policy is Never', 0, { preemptionPolicy: 'Never' as const }],
  ['while it is paused', 0, { paused: true }],
] as const) {
  test(`nobody leaves for a group ${title}`, async () => {
    const world = await serving(['a'], { small: full({ priority: low }) });
    const before = groupsOf(world, 'small');
    world.state.applyDeployment('chat', preemptor(high));
    await world.run(300);
    assert.deepEqual(groupsOf(world, 'small'), before);
    assert.equal(groupOf(world, 'chat')?.preemption, undefined);
  });
}

test('a refusal names the priority of who holds the room', async () => {
  const world = await serving(['a'], { small: full({ priority: 20 }) });
  world.state.applyDeployment('chat', preemptor({ priority: 10 }));
  await world.run(10);
  assert.match(groupOf(world, 'chat')?.message ?? '', /held by default\/small \(priority 20\)/);
});

test('what is possible further down the ladder comes before anybody leaves', async () => {
  const world = await serving(['a', 'b'], { small: full() });
  assert.equal(homeOf(world, 'small'), 'a');
  world.models.set('file:///models/wide', profile(20));
  world.state.applyDeployment('chat', preemptor(tensor2));
  await world.runUntil('chat is ready', () => world.isReady('chat'));
  assert.deepEqual(groupOf(world, 'chat')?.degradedBy, ['FewerNodes']);
  assert.ok(world.isReady('small'));
  await world.run(120);
  assert.equal(groupOf(world, 'small')?.incarnation, 1, 'nor for a better plan later');
});

test('nobody leaves while a node may still be about to report for the first time', async () => {
  const world = await serving(['a'], { small: full() });
  world.state.applyNode('b', nodeSpec({ nodeLostToleranceSeconds: 200 }));
  world.state.applyDeployment('chat', preemptor());
  await world.run(150);
  assert.ok(world.isReady('small'));
  assert.equal(groupOf(world, 'chat')?.preemption, undefined);
  await world.runUntil('chat is ready', () => world.isReady('chat'), 120);
});

test('no surge group of a rollout makes others leave', async () => {
  const strategy = {
    type: 'RollingUpdate' as const,
    rollingUpdate: { maxUnavailable: 0, maxSurge: 1, partition: 0 },
    onFailure: 'Hold' as const,
  };
  const world = await serving(['a', 'b'], { chat: preemptor({ strategy }), small: full() });
  world.state.applyDeployment(
    'chat',
    preemptor({ strategy, runtime: { ...spec().runtime, contextLength: 2048 } }),
  );
  await world.run(120);
  assert.ok(groupsOf(world, 'chat').every(({ preemption }) => preemption === undefined));
  assert.ok(world.isReady('small'));
  assert.equal(groupOf(world, 'chat')?.contextLength, 4096);
});

test('nobody else is asked while a group that stops anyway makes room', async () => {
  const world = await serving(['a', 'b'], { small: full(), other: full({ priority: 20 }) });
  const requests = await busy(world);
  world.state.applyDeployment(
    'other',
    full({ priority: 20, replicas: 0, drainTimeoutSeconds: 3600 }),
  );
  await world.runUntil('it drains', () => groupOf(world, 'other')?.state === 'Draining');
  world.state.applyDeployment('chat', preemptor());
  await world.run(100);
  assert.equal(
    groupOf(world, 'chat')?.message,
    'waits for default/other group 0 (priority 20) to leave b',
  );
  assert.ok(world.isReady('small'));
  requests.end();
  await world.runUntil('chat is ready', () => world.isReady('chat'));
  assert.equal(homeOf(world, 'chat'), 'b');
  assert.ok(world.isReady('small'));
});

test('a group that only starts anew is not waited for: its place is its own again', async () => {
  const world = await serving(['a', 'b'], { top: full({ priority: 20 }), small: full() });
  await busy(world);
  const restartTime = world.clock.now().toISOString();
  world.state.applyDeployment('top', full({ priority: 20, restartTime }));
  await world.runUntil('it drains', () => groupOf(world, 'top')?.state === 'Draining');
  world.state.applyDeployment('chat', preemptor());
  await world.runUntil('it waits', () => reasonOf(world, 'chat') === 'AwaitingPreemption');
  assert.match(groupOf(world, 'chat')?.message ?? '', /^waits for default\/small group 0 /);
  await world.runUntil('both', () => world.isReady('chat') && world.isReady('top'));
  assert.deepEqual([homeOf(world, 'top'), homeOf(world, 'chat')], ['a', 'b']);
});

test('two preemptors each take what they need, the higher one first', async () => {
  const world = await serving(['a', 'b', 'c'], {
    x: full(),
    y: full({ priority: 1 }),
    z: full({ priority: 2 }),
  });
  world.state.applyDeployment('low', preemptor({ priority: 5 }));
  world.state.applyDeployment('high', preemptor({ priority: 20 }));
  await world.runUntil('both', () => world.isReady('low') && world.isReady('high'));
  await world.run(60);
  assert.ok(world.isReady('z'));
  assert.deepEqual([homeOf(world, 'x'), homeOf(world, 'y')], ['', '']);
  assert.equal(groupOf(world, 'z')?.incarnation, 1);
});

test('who is preempted may preempt in turn, down to the lowest', async () => {
  const world = await serving(['a', 'b'], {
    middle: preemptor({ priority: 5 }),
    low: full(),
  });
  world.state.applyDeployment(
    'chat',
    preemptor({ placement: { ...spec().placement, nodeSelector: { matchLabels: {} } } }),
  );
  await world.runUntil('chat is ready', () => world.isReady('chat') && world.isReady('middle'));
  assert.equal(homeOf(world, 'low'), '');
});

test('a waiting preemptor whose spec is edited preempts for what it asks for now', async () => {
  const world = await serving(['a', 'b'], { one: full(), two: full() });
  world.state.applyDeployment('chat', preemptor({ ...tensor2, priority: 0 }));
  await world.run(30);
  assert.equal(groupOf(world, 'chat')?.state, 'Waiting');
  world.state.applyDeployment('chat', preemptor());
  await world.runUntil('chat is ready', () => world.isReady('chat'));
  assert.equal(groupsOf(world, 'chat')[0]?.members.length, 1);
  assert.equal([world.isReady('one'), world.isReady('two')].filter(Boolean).length, 1);
});

test('victims learn at once, and so does a preemptor that a priority was lowered', async () => {
  const world = await serving(['a'], { small: full({ priority: 10 }) });
  world.state.applyDeployment('chat', preemptor());
  await world.clock.settle();
  assert.equal(reasonOf(world, 'chat'), 'InsufficientMemory');
  world.state.applyDeployment('small', full());
  await world.clock.settle();
  assert.equal(reasonOf(world, 'chat'), 'AwaitingPreemption');
  assert.equal(reasonOf(world, 'small'), 'Preempted');
});
