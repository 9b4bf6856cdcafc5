import assert from 'node:assert/strict';
import { test } from 'node:test';
import { routesFrom } from '../../src/controller/routes.ts';
import { spec } from '../planner/builders.ts';
import { harness } from './harness.ts';
import type { Harness } from './harness.ts';

const tensor2 = { parallelism: { strategy: 'Tensor' as const, tensorSize: 2 } };
const isReady = (world: Harness, name: string) => () =>
  world.condition(name, 'Ready')?.status === 'True' &&
  world.deployment(name).status.observedGeneration === world.deployment(name).metadata.generation;

test('a deployment on two nodes becomes Ready and gets a route', async () => {
  const world = harness(['a', 'b']);
  world.state.applyDeployment('m', spec(tensor2));
  await world.startControlPlane();
  await world.runUntil('ready', isReady(world, 'm'));
  const { status } = world.deployment('m');
  assert.equal(status.groups[0]?.members.length, 2);
  assert.equal(status.plan?.strategy, 'Tensor');
  assert.equal(status.currentRevision, status.updateRevision);
  const [route] = routesFrom([world.deployment('m')]);
  assert.deepEqual(route?.endpoints, ['http://127.0.0.1:5001/v1']);
});
