import assert from 'node:assert/strict';
import { test } from 'node:test';
import { spec } from '../planner/builders.ts';
import { harness, nodeSpec } from './harness.ts';
import type { Harness } from './harness.ts';

const tensor2 = { parallelism: { strategy: 'Tensor' as const, tensorSize: 2 } };
const single = { parallelism: { strategy: 'Single' as const } };
const nodesOf = (world: Harness): string[] =>
  world
    .deployment('m')
    .status.groups.flatMap(({ members }) => members.map(({ nodeName }) => nodeName));
const nodeReady = (world: Harness, name: string) => {
  const found = world.state.node(name)?.status.conditions.find(({ type }) => type === 'Ready');
  return found && `${found.status} ${found.reason}`;
};

test('a node that reports is Ready, with its facts and its ranks', async () => {
  const world = harness(['a']);
  world.state.applyNode('a', nodeSpec({ reservedMemory: '8Gi' }));
  world.state.applyDeployment('m', spec(single));
  await world.startControlPlane();
  assert.equal(nodeReady(world, 'a'), 'Unknown AwaitingFirstReport');
  await world.runUntil('ready', () => world.isReady('m'));
  const status = world.state.node('a')?.status;
  assert.equal(nodeReady(world, 'a'), 'True DaemonReporting');
  assert.equal(status?.capacity?.memory, '49152Mi');
  assert.equal(status?.allocatable?.memory, '40960Mi');
  assert.deepEqual(status?.ranks, [{ deployment: 'default/m', group: 0, rank: 0, state: 'Ready' }]);
});

test('a lost node is Unknown and its group is planned anew on the nodes that are left', async () => {
  const world = harness(['a', 'b', 'c']);
  world.state.applyDeployment('m', spec(tensor2));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  const lost = nodesOf(world)[1] ?? '';
  world.fleet.node(lost).isCutOff = true;
  await world.run(30);
  assert.ok(world.isReady('m'), 'a short silence changes nothing');
  await world.runUntil('noticed', () => !world.isReady('m'), 20);
  assert.equal(nodeReady(world, lost), 'Unknown NodeLost');
  await world.runUntil('ready elsewhere', () => world.isReady('m'), 60);
  assert.ok(!nodesOf(world).includes(lost));
  assert.equal(world.deployment('m').status.groups[0]?.restarts, 0);
  assert.equal(world.summary('m', 'Degraded'), undefined);

  world.fleet.node(lost).isCutOff = false;
  await world.runUntil('back', () => nodeReady(world, lost) === 'True DaemonReporting', 10);
  await world.runUntil(
    'its old rank is stopped',
    () => world.fleet.node(lost).ranks.size === 0,
    20,
  );
  assert.ok(world.isReady('m'));
});

test('with too few nodes left the plan goes down the ladder, and back up once, 30 s after the node returned', async () => {
  const world = harness(['a', 'b']);
  world.state.applyDeployment('m', spec(tensor2));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  world.fleet.node('b').crash();
  await world.runUntil('degraded', () => world.isReady('m') && nodesOf(world).length === 1, 120);
  assert.equal(world.summary('m', 'Degraded'), 'True DegradedPlan');
  assert.match(world.condition('m', 'Degraded')?.message ?? '', /FewerNodes/);

  const starts = world.deployment('m').status.groups[0]?.incarnation ?? 0;
  world.fleet.node('b').boot();
  await world.run(25);
  assert.equal(world.deployment('m').status.groups[0]?.incarnation, starts, 'not at once');
  await world.runUntil('whole again', () => world.isReady('m') && nodesOf(world).length === 2, 60);
  assert.equal(world.summary('m', 'Degraded'), undefined);
  await world.run(60);
  assert.equal(world.deployment('m').status.groups[0]?.incarnation, starts + 1);
});

test('a deployment whose nodes are all lost is kept, says so, and comes back with them', async () => {
  const world = harness(['a', 'b']);
  world.state.applyDeployment('m', spec(tensor2));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  for (const node of world.fleet.nodes) node.crash();
  await world.run(600);
  assert.equal(world.summary('m', 'Planned'), 'False InsufficientNodes');
  assert.match(world.condition('m', 'Ready')?.message ?? '', /Node a: the node is lost/);
  for (const node of world.fleet.nodes) node.boot();
  await world.runUntil('ready', () => world.isReady('m'), 120);
});

test('a cordon keeps what runs; NoExecute moves it', async () => {
  const world = harness(['a', 'b']);
  world.state.applyDeployment('m', spec(single));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  const [home = ''] = nodesOf(world);
  world.state.applyNode(home, nodeSpec({ unschedulable: true }));
  await world.run(20);
  assert.deepEqual(nodesOf(world), [home]);
  assert.ok(world.isReady('m'));
  world.state.applyNode(home, nodeSpec({ taints: [{ key: 'maintenance', effect: 'NoExecute' }] }));
  await world.runUntil('moved', () => world.isReady('m') && nodesOf(world)[0] !== home, 60);
  assert.ok(world.events('TaintNotTolerated').length > 0);
});

test('a cordoned node gets no restart', async () => {
  const world = harness(['a', 'b']);
  world.state.applyDeployment(
    'm',
    spec({ ...single, restartPolicy: { maxGroupRestarts: 5, backoffSeconds: 1 } }),
  );
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  const [home = ''] = nodesOf(world);
  world.state.applyNode(home, nodeSpec({ unschedulable: true }));
  world.fleet.node(home).kill('default/m/0/1/0');
  await world.runUntil('moved', () => world.isReady('m') && nodesOf(world)[0] !== home, 60);
});

test('a deleted ClusterNode is drained, then gone', async () => {
  const world = harness(['a', 'b']);
  world.state.applyDeployment('m', spec(single));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  const [home = ''] = nodesOf(world);
  world.state.delete({ kind: 'ClusterNode', name: home });
  await world.runUntil('gone', () => world.state.node(home) === undefined, 60);
  assert.equal(world.fleet.node(home).ranks.size, 0);
  await world.runUntil('ready', () => world.isReady('m'), 60);
  assert.notEqual(nodesOf(world)[0], home);
});

test('a daemon that no ClusterNode names is told what to apply', async () => {
  const world = harness(['a', 'b']);
  world.state.delete({ kind: 'ClusterNode', name: 'b' });
  await world.startControlPlane();
  await world.run(5);
  const [event] = world.events('NodeNotDeclared');
  assert.match(event?.message ?? '', /kind: ClusterNode\nmetadata: \{name: b\}/);
  world.state.applyNode('b', nodeSpec());
  await world.run(5);
  assert.equal(nodeReady(world, 'b'), 'True DaemonReporting');
});

test('manageNetwork: Manage is refused, by name', async () => {
  const world = harness(['a']);
  world.state.applyNode(
    'a',
    nodeSpec({ linkPolicy: { allowRDMA: true, manageNetwork: 'Manage' } }),
  );
  await world.startControlPlane();
  await world.run(5);
  assert.equal(nodeReady(world, 'a'), 'False NotAvailableYet');
});
