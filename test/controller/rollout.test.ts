import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ModelDeploymentSpec } from '../../src/resources/types.ts';
import { spec } from '../planner/builders.ts';
import { harness } from './harness.ts';

const tensor = (tensorSize: number) => ({
  parallelism: { strategy: 'Tensor' as const, tensorSize },
});
const single = { parallelism: { strategy: 'Single' as const } };
const withContext = (contextLength: number) =>
  spec({ ...single, runtime: { ...spec().runtime, contextLength } });

/** Keeps one old revision. */
const limited = (contextLength: number) => ({
  ...withContext(contextLength),
  revisionHistoryLimit: 1,
});

test('a new revision stops the old group fully before it starts', async () => {
  const world = harness(['a', 'b']);
  world.state.applyDeployment('m', spec(single));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  const before = world.deployment('m').status.currentRevision;
  world.state.applyDeployment('m', spec(tensor(2)));
  await world.runUntil(
    'stopping',
    () => world.deployment('m').status.groups[0]?.state === 'Stopping',
    5,
  );
  assert.equal(world.summary('m', 'Ready'), 'False RollingOut');
  assert.equal(world.deployment('m').status.currentRevision, before);
  await world.runUntil('ready', () => world.isReady('m'));
  const { status } = world.deployment('m');
  assert.notEqual(status.currentRevision, before);
  assert.equal(status.groups[0]?.members.length, 2);
  assert.equal(status.groups[0].incarnation, 2);
  assert.equal(status.groups[0].restarts, 0);
});

test('what is not revisioned changes in place', async () => {
  const world = harness(['a']);
  world.state.applyDeployment('m', spec(single));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  world.state.applyDeployment(
    'm',
    spec({ ...single, progressDeadlineSeconds: 99, minReadySeconds: 1 }),
  );
  await world.run(5);
  assert.ok(world.isReady('m'));
  assert.equal(world.deployment('m').status.groups[0]?.incarnation, 1);
  assert.equal(world.state.revisions().length, 1);
});

test('an old spec is recognised, its revision becomes the newest, and surplus ones go', async () => {
  const world = harness(['a']);
  world.state.applyDeployment('m', limited(1024));
  await world.startControlPlane();
  await world.runUntil('first', () => world.isReady('m'));
  const first = world.deployment('m').status.currentRevision;
  world.state.applyDeployment('m', limited(2048));
  await world.runUntil('second', () => world.isReady('m'));
  world.state.applyDeployment('m', limited(1024));
  await world.runUntil('first again', () => world.isReady('m'));
  assert.equal(world.deployment('m').status.currentRevision, first);
  assert.equal(world.events('RolledBack').length, 1);
  const numbers = new Map(
    world.state.revisions().map(({ metadata, revision }) => [metadata.name, revision]),
  );
  assert.equal(numbers.get(first ?? ''), 3);

  world.state.applyDeployment('m', limited(512));
  await world.runUntil('third', () => world.isReady('m'));
  const kept = world.state.revisions().map(({ revision }) => revision);
  assert.deepEqual(
    kept.toSorted((left, right) => left - right),
    [3, 4],
  );
});

test('a new spec that no plan can meet is Stalled while the old revision keeps serving', async () => {
  const world = harness(['a', 'b', 'c']);
  world.state.applyDeployment('m', spec(single));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  world.state.applyDeployment('m', spec(tensor(3)));
  await world.run(10);
  assert.match(world.summary('m', 'Stalled') ?? '', /^True Indivisible/);
  assert.equal(world.summary('m', 'Available'), 'True MinimumAvailable');
  assert.equal(world.deployment('m').status.groups[0]?.state, 'Ready');
  assert.equal(world.deployment('m').status.observedGeneration, 2);
  world.state.applyDeployment('m', spec(single));
  await world.runUntil('ready', () => world.isReady('m'), 10);
  assert.equal(world.deployment('m').status.groups[0]?.incarnation, 1);
});

test('a new spec without room waits while the old revision keeps serving', async () => {
  const world = harness(['a']);
  world.state.applyDeployment('m', spec(single));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  world.state.applyDeployment('m', withContext(131072));
  await world.run(10);
  assert.equal(world.summary('m', 'Available'), 'True MinimumAvailable');
  assert.match(world.condition('m', 'Ready')?.message ?? '', /keeps running.*GiB/);
});

const refused: [field: string, overrides: Partial<ModelDeploymentSpec>][] = [
  ['spec.model.uri', { model: { uri: 'hf://org/model', servedNames: [] } }],
  ['spec.model.uri', { model: { uri: 's3://bucket/model', servedNames: [] } }],
  ['spec.model.revision', { model: { ...spec().model, revision: 'abc' } }],
  [
    'spec.model.credentialsSecretRef',
    { model: { ...spec().model, credentialsSecretRef: { name: 's', key: 'k' } } },
  ],
  ['spec.runtime.name', { runtime: { ...spec().runtime, name: 'MLX' } }],
  ['spec.runtime.args', { runtime: { ...spec().runtime, args: ['--fast'] } }],
  ['spec.parallelism.expertSize', { parallelism: { strategy: 'Tensor', expertSize: 2 } }],
  ['spec.interconnect.mode', { interconnect: { mode: 'RDMA', fallback: 'Forbid' } }],
];

test('a field that asks for what does not exist yet is Stalled, by name', async () => {
  for (const [field, overrides] of refused) {
    const world = harness(['a']);
    world.state.applyDeployment('m', spec(overrides));
    await world.startControlPlane();
    await world.run(2);
    assert.equal(world.summary('m', 'Stalled'), 'True NotAvailableYet', field);
    assert.ok(world.condition('m', 'Stalled')?.message.startsWith(`${field}: `), field);
    assert.deepEqual(world.deployment('m').status.groups, []);
  }
});

test('egress Deny, the default, is said not to be enforced and blocks nothing', async () => {
  const world = harness(['a']);
  world.state.applyDeployment('m', spec(single));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  assert.equal(world.events('NotAvailableYet').length, 1);
  assert.match(world.condition('m', 'Planned')?.message ?? '', /Deny is not enforced yet/);
});
