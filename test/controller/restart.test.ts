import assert from 'node:assert/strict';
import { test } from 'node:test';
import { spec } from '../planner/builders.ts';
import { harness } from './harness.ts';

const tensor2 = { parallelism: { strategy: 'Tensor' as const, tensorSize: 2 } };
const single = { parallelism: { strategy: 'Single' as const } };

test('a control plane that starts again hands out the same documents, before it hears of any node', async () => {
  const world = harness(['a', 'b', 'c']);
  world.state.applyDeployment('m', spec(tensor2));
  world.state.applyDeployment('n', spec(single));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m') && world.isReady('n'));
  await world.run(5);
  const before = world.fleet.documents();
  const status = world.deployment('m').status;
  const pids = world.fleet.nodes.map(({ ranks }) => [...ranks.keys()]);
  for (let restart = 0; restart < 5; restart += 1) {
    await world.startControlPlane();
    const after = world.fleet.documents();
    assert.deepEqual(
      after.map(({ version, nodeName, ranks }) => ({ version, nodeName, ranks })),
      before.map(({ version, nodeName, ranks }) => ({ version, nodeName, ranks })),
    );
    assert.equal(after[0]?.epoch, (before[0]?.epoch ?? 0) + restart + 1);
    assert.deepEqual(world.deployment('m').status, status);
  }
  const writes = world.state.statusWrites;
  await world.run(60);
  assert.equal(world.state.statusWrites, writes, 'nothing is written either');
  assert.deepEqual(
    world.fleet.nodes.map(({ ranks }) => [...ranks.keys()]),
    pids,
  );
});

test('no document is served before everything was looked at once', async () => {
  const world = harness(['a', 'b']);
  world.state.applyDeployment('m', spec(tensor2));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  const served: number[] = [];
  const starting = world.startControlPlane();
  served.push(world.fleet.documents().length);
  await starting;
  served.push(world.fleet.documents().length);
  assert.deepEqual(served, [0, 2]);
});

test('a node that died while no control plane ran is found lost, and planned around', async () => {
  const world = harness(['a', 'b']);
  world.state.applyDeployment('m', spec(single));
  const first = await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  const home = world.deployment('m').status.groups[0]?.members[0]?.nodeName ?? '';
  await first.stop();
  world.fleet.node(home).crash();
  await world.startControlPlane();
  await world.run(20);
  assert.ok(world.isReady('m'), 'silence alone says nothing for a while');
  await world.runUntil('lost', () => !world.isReady('m'), 40);
  await world.runUntil('ready elsewhere', () => world.isReady('m'), 60);
});

test('a fenced control plane stops at once: no writes, no documents, one call', async () => {
  const world = harness(['a']);
  world.state.applyDeployment('m', spec(single));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  const before = world.fleet.documents();
  world.state.open();
  world.fleet.node('a').kill('default/m/0/1/0');
  await world.run(30);
  assert.equal(world.fenced, 1);
  assert.deepEqual(world.fleet.documents(), before);
  assert.equal(world.isReady('m'), true, "status is the newer one's to write");
});

test('ranks that nobody knows are not adopted', async () => {
  const world = harness(['a', 'b']);
  world.state.applyDeployment('m', spec(single));
  const first = await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  await first.stop();
  const home = world.deployment('m').status.groups[0]?.members[0]?.nodeName ?? '';
  // The state is lost, the node is not: another control plane over another state.
  const other = harness(['a', 'b']);
  other.fleet.node(home).receive({
    ...(world.fleet.documents().find(({ nodeName }) => nodeName === home) ?? assert.fail()),
    epoch: 0,
  });
  other.fleet.node(home).step();
  assert.equal(other.fleet.node(home).ranks.size, 1);
  await other.startControlPlane();
  await other.runUntil('stopped', () => other.fleet.node(home).ranks.size === 0, 30);
});
