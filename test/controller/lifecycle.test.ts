import assert from 'node:assert/strict';
import { test } from 'node:test';
import { routesFrom } from '../../src/controller/routes.ts';
import { parseNodeDocument } from '../../src/nodedoc/validate.ts';
import { profile, spec } from '../planner/builders.ts';
import { harness } from './harness.ts';

const tensor2 = { parallelism: { strategy: 'Tensor' as const, tensorSize: 2 } };
const single = { parallelism: { strategy: 'Single' as const } };
const keyOf = (name: string) => ({ kind: 'ModelDeployment', namespace: 'default', name }) as const;

test('a deployment on two nodes becomes Ready and gets a route', async () => {
  const world = harness(['a', 'b']);
  world.state.applyDeployment('m', spec(tensor2));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  const { status } = world.deployment('m');
  assert.equal(status.groups[0]?.members.length, 2);
  assert.equal(status.plan?.strategy, 'Tensor');
  assert.equal(status.currentRevision, status.updateRevision);
  assert.equal(status.endpoint?.url, 'http://127.0.0.1:8080/default/m/v1');
  const [route] = routesFrom([world.deployment('m')]);
  assert.deepEqual(route?.endpoints, ['http://127.0.0.1:5001/v1']);
  assert.deepEqual(route?.servedNames, ['m']);
  for (const document of world.fleet.documents()) parseNodeDocument(document);
});

test('documents carry the shard, one secret per start and the rendezvous address', async () => {
  const world = harness(['a', 'b']);
  world.state.applyDeployment('m', spec(tensor2));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  const ranks = world.fleet.documents().flatMap((document) => document.ranks);
  const [first, second] = ranks.toSorted((left, right) => left.rank - right.rank);
  assert.equal(first?.rendezvous.address, null);
  assert.equal(second?.rendezvous.address, '127.0.0.1:4001');
  assert.equal(first?.rendezvous.secret, second?.rendezvous.secret);
  assert.match(first?.rendezvous.secret ?? '', /^[0-9a-f]{64}$/);
  const whole = { stage: 0, stageCount: 1, tensorSize: 2, firstLayer: 0, endLayer: 32 };
  assert.deepEqual(first?.shard, { ...whole, tensorRank: 0 });
  assert.deepEqual(second?.shard, { ...whole, tensorRank: 1 });
  assert.ok(!JSON.stringify(world.deployment('m')).includes(first?.rendezvous.secret ?? ''));
});

test('minReadySeconds: Ready and availableReplicas wait, the route does not', async () => {
  const world = harness(['a']);
  world.state.applyDeployment('m', spec({ ...single, minReadySeconds: 30 }));
  await world.startControlPlane();
  await world.runUntil('group ready', () => world.deployment('m').status.readyReplicas === 1);
  assert.equal(world.summary('m', 'Ready'), 'False AwaitingGroups');
  assert.equal(world.deployment('m').status.availableReplicas, 0);
  assert.equal(routesFrom([world.deployment('m')])[0]?.endpoints.length, 1);
  await world.run(31);
  assert.ok(world.isReady('m'));
});

test('paused: what runs stays, nothing new is started, and status says so', async () => {
  const world = harness(['a', 'b']);
  world.state.applyDeployment('m', spec({ ...single, paused: true }));
  await world.startControlPlane();
  await world.run(10);
  assert.equal(world.summary('m', 'Ready'), 'False Paused');
  assert.equal(world.summary('m', 'Reconciling'), undefined);
  assert.equal(world.deployment('m').status.groups.length, 0);

  world.state.applyDeployment('m', spec(single));
  await world.runUntil('ready', () => world.isReady('m'));
  world.state.applyDeployment('m', spec({ ...tensor2, paused: true }));
  await world.run(30);
  assert.equal(world.deployment('m').status.groups[0]?.state, 'Ready');
  assert.equal(world.deployment('m').status.groups[0]?.incarnation, 1);
  assert.equal(world.summary('m', 'Available'), 'True MinimumAvailable');
  assert.equal(world.summary('m', 'Ready'), 'False Paused');
});

test('replicas 0 stops every group and is Ready with none', async () => {
  const world = harness(['a']);
  world.state.applyDeployment('m', spec(single));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  world.state.applyDeployment('m', spec({ ...single, replicas: 0 }));
  await world.runUntil('ready', () => world.isReady('m'));
  assert.equal(world.summary('m', 'Ready'), 'True ScaledToZero');
  assert.deepEqual(world.deployment('m').status.groups, []);
  assert.equal(world.fleet.node('a').ranks.size, 0);
});

test('scaling up and down adds and removes groups, and leaves the others alone', async () => {
  const world = harness(['a', 'b', 'c']);
  world.state.applyDeployment('m', spec(single));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  world.state.applyDeployment('m', spec({ ...single, replicas: 3 }));
  await world.runUntil('three', () => world.isReady('m'));
  assert.equal(world.deployment('m').status.groups.length, 3);
  assert.equal(routesFrom([world.deployment('m')])[0]?.endpoints.length, 3);
  world.state.applyDeployment('m', spec(single));
  await world.runUntil('one', () => world.isReady('m'));
  const { groups } = world.deployment('m').status;
  assert.deepEqual(
    groups.map(({ index, incarnation }) => ({ index, incarnation })),
    [{ index: 0, incarnation: 1 }],
  );
});

test('deleting a deployment stops its ranks first, and then it is gone', async () => {
  const world = harness(['a', 'b']);
  world.state.applyDeployment('m', spec(tensor2));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  world.state.delete(keyOf('m'));
  await world.clock.settle();
  assert.deepEqual(routesFrom([world.deployment('m')])[0]?.endpoints, []);
  await world.runUntil('gone', () => world.state.deployment('m') === undefined);
  assert.ok(world.fleet.nodes.every(({ ranks }) => ranks.size === 0));
  assert.deepEqual(world.state.revisions(), []);
});

test('a lost node does not block a deletion', async () => {
  const world = harness(['a', 'b']);
  world.state.applyDeployment('m', spec(tensor2));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  world.fleet.node('b').crash();
  world.state.delete(keyOf('m'));
  await world.run(20);
  assert.ok(world.state.deployment('m'), 'b may still run a rank');
  await world.runUntil('gone', () => world.state.deployment('m') === undefined, 60);
});

test('of two deployments that do not both fit, the older runs and the other waits with numbers', async () => {
  const world = harness(['a']);
  world.models.set('file:///models/m', profile(30));
  world.state.applyDeployment('older', spec(single));
  await world.clock.advance(1000);
  world.state.applyDeployment('newer', spec(single));
  await world.startControlPlane();
  await world.runUntil('older ready', () => world.isReady('older'));
  await world.run(20);
  assert.match(
    world.summary('newer', 'Planned') ?? '',
    /^False (InsufficientMemory|AwaitingCapacity)$/,
  );
  assert.match(world.condition('newer', 'Ready')?.message ?? '', /GiB held by default\/older\)/);
  assert.equal(world.summary('newer', 'Stalled'), undefined);
  assert.equal(world.deployment('older').status.groups[0]?.incarnation, 1);

  world.state.delete(keyOf('older'));
  await world.runUntil('newer ready', () => world.isReady('newer'), 60);
});

test('the older of two waiting deployments gets the room, whoever is looked at first', async () => {
  for (const names of [
    ['z', 'y'],
    ['y', 'z'],
  ]) {
    const world = harness(['a']);
    world.models.set('file:///models/m', profile(30));
    await world.startControlPlane();
    await world.run(5);
    for (const name of names) world.state.applyDeployment(name, spec(single));
    await world.runUntil('one is ready', () => names.some((name) => world.isReady(name)));
    // Created in the same instant: the name decides.
    assert.ok(world.isReady('y'));
  }
});
