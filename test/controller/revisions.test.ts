import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newRevision } from '../../src/controller/deployment/revisions.ts';
import { spec } from '../planner/builders.ts';
import { harness } from './harness.ts';

const now = new Date('2026-11-23T00:00:00Z');

test('a spec whose short hash another one has gets a name of its own, the same every time', () => {
  const world = harness([]);
  world.state.applyDeployment('m', spec());
  const deployment = world.deployment('m');
  const plain = newRevision(deployment, [], now);
  const other = { ...plain, data: { ...plain.data, objective: 'Efficiency' as const } };
  const named = newRevision(deployment, [other], now);
  assert.notEqual(named.metadata.name, plain.metadata.name);
  assert.match(named.metadata.name, /^m-[a-z0-9]{8}$/);
  assert.deepEqual([named.hash, named.revision], [plain.hash, 2]);
  assert.equal(newRevision(deployment, [other], now).metadata.name, named.metadata.name);
});
