import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rolloutStep } from '../../src/controller/groups/rollout.ts';
import type { GroupStatus } from '../../src/resources/types.ts';
import { spec } from '../planner/builders.ts';

const now = new Date('2026-11-23T12:00:00Z');
const group = (index: number, overrides: Partial<GroupStatus> = {}): GroupStatus => ({
  index,
  revision: 'a',
  incarnation: 1,
  restarts: 0,
  state: 'Ready',
  readyTime: '2026-11-23T11:59:50Z',
  members: [],
  ...overrides,
});
const rolling = (maxUnavailable: number) =>
  spec({
    replicas: 3,
    minReadySeconds: 60,
    strategy: {
      type: 'RollingUpdate',
      rollingUpdate: { maxUnavailable, maxSurge: 1 - Math.min(1, maxUnavailable), partition: 0 },
      onFailure: 'Hold',
    },
  });
const replaced = (groups: GroupStatus[], maxUnavailable: number) => [
  ...rolloutStep({ groups, spec: rolling(maxUnavailable), revision: 'b', now }).replaced,
];

test('groups that answer but are not available yet do not all stop at once', () => {
  assert.deepEqual(replaced([group(0), group(1), group(2)], 1), [2]);
  assert.deepEqual(replaced([group(0), group(1), group(2)], 0), []);
});

test('old groups that do not serve are all replaced', () => {
  const down = [0, 1, 2].map((index) => group(index, { state: 'Starting' }));
  assert.deepEqual(replaced(down, 1), [2, 1, 0]);
});
