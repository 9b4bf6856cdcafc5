import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GroupStatus, ModelDeploymentSpec } from '../../src/resources/types.ts';
import { profile, spec } from '../planner/builders.ts';
import { harness, nodeSpec } from './harness.ts';
import type { Harness } from './harness.ts';

const single = { parallelism: { strategy: 'Single' as const } };
const tensor2 = { parallelism: { strategy: 'Tensor' as const, tensorSize: 2 } };
const keyOf = (name: string) => ({ kind: 'ModelDeployment', namespace: 'default', name }) as const;

/** Of a model so large that each of its ranks fills a node. */
const full = (overrides: Partial<ModelDeploymentSpec> = {}): ModelDeploymentSpec => {
  const wide = overrides.parallelism?.strategy === 'Tensor';
  const uri = `file:///models/${wide ? 'wide' : 'm'}`;
  return spec({ ...single, model: { uri, servedNames: [] }, ...overrides });
};
const preemptor = (overrides: Partial<ModelDeploymentSpec> = {}): ModelDeploymentSpec =>
  full({ priority: 10, preemptionPolicy: 'PreemptLowerPriority', ...overrides });

const worldOf = (nodes: string[], seed = 1): Harness => {
  const world = harness(nodes, seed);
  world.models.set('file:///models/m', profile(30));
  world.models.set('file:///models/wide', profile(60));
  return world;
};

const groupsOf = (world: Harness, name: string): GroupStatus[] =>
  world.deployment(name).status.groups;
const groupOf = (world: Harness, name: string, index = 0): GroupStatus | undefined =>
  groupsOf(world, name).find((group) => group.index === index);
const homeOf = (world: Harness, name: string): string =>
  groupsOf(world, name)
    .map(({ members }) => members.map(({ nodeName }) => nodeName).join('+'))
    .join();
const reasonOf = (world: Harness, name: string, index = 0): string | undefined =>
  groupOf(world, name, index)?.reason;

/** Ready on the nodes, one after another. */
const serving = async (
  nodes: string[],
  deployments: Record<string, ModelDeploymentSpec>,
): Promise<Harness> => {
  const world = worldOf(nodes);
  await world.startControlPlane();
  for (const [name, each] of Object.entries(deployments)) {
    world.state.applyDeployment(name, each);
    await world.runUntil(`${name} is ready`, () => world.isReady(name));
  }
  // Until every node has reported.
  await world.run(45);
  return world;
};

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
  assert.ok(world.isReady('small'));
  assert.equal(groupOf(world, 'chat')?.contextLength, 4096);
});

test('nobody else is asked while a group that stops anyway makes room', async () => {
  const world = await serving(['a', 'b'], { small: full(), other: full() });
  const requests = new Map<string, number>();
  await world.startControlPlane({ requestsUnderWay: (endpoint) => requests.get(endpoint) ?? 0 });
  await world.run(10);
  requests.set(groupOf(world, 'other')?.endpoint ?? '', 1);
  world.state.applyDeployment('other', full({ replicas: 0, drainTimeoutSeconds: 3600 }));
  await world.runUntil('it drains', () => groupOf(world, 'other')?.state === 'Draining');
  world.state.applyDeployment('chat', preemptor());
  await world.run(100);
  assert.equal(
    groupOf(world, 'chat')?.message,
    'waits for default/other group 0 (priority 0) to leave b',
  );
  assert.ok(world.isReady('small'));
  requests.clear();
  await world.runUntil('chat is ready', () => world.isReady('chat'));
  assert.equal(homeOf(world, 'chat'), 'b');
  assert.ok(world.isReady('small'));
});

test('a victim finishes what is under way; its room is nobody else’s meanwhile', async () => {
  const world = await serving(['a', 'b'], {
    one: full({ drainTimeoutSeconds: 5 }),
    two: full({ drainTimeoutSeconds: 60 }),
  });
  const requests = new Map<string, number>();
  await world.startControlPlane({ requestsUnderWay: (endpoint) => requests.get(endpoint) ?? 0 });
  await world.run(10);
  requests.set(groupOf(world, 'two')?.endpoint ?? '', 1);
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
    const requests = new Map<string, number>();
    await world.startControlPlane({ requestsUnderWay: (endpoint) => requests.get(endpoint) ?? 0 });
    await world.run(10);
    for (const name of ['one', 'two']) requests.set(groupOf(world, name)?.endpoint ?? '', 1);
    world.state.applyDeployment('chat', preemptor(tensor2));
    const isDraining = (name: string) => groupOf(world, name)?.state === 'Draining';
    await world.runUntil('draining', () => isDraining('one') && isDraining('two'));
    change(world);
    requests.clear();
    await world.runUntil('back', () => world.isReady('one') && world.isReady('two'), 120);
    await world.run(60);
    assert.ok(world.isReady('one') && world.isReady('two'));
    assert.ok(!world.state.deployment('chat')?.status.readyReplicas);
  });
}

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

test('a node that is lost meanwhile: victims elsewhere are asked, or come back', async () => {
  const world = await serving(['a', 'b', 'c'], {
    one: full(),
    two: full(),
    three: full({ priority: 1 }),
  });
  const requests = new Map<string, number>();
  await world.startControlPlane({ requestsUnderWay: (endpoint) => requests.get(endpoint) ?? 0 });
  await world.run(10);
  for (const name of ['one', 'two']) requests.set(groupOf(world, name)?.endpoint ?? '', 1);
  const long = { ...tensor2, drainTimeoutSeconds: 600 };
  world.state.applyDeployment('chat', preemptor(long));
  await world.runUntil('draining', () => groupOf(world, 'two')?.state === 'Draining');
  const home = homeOf(world, 'two');
  world.fleet.node(home).crash();
  requests.clear();
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
