import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  findCondition,
  isConditionTrue,
  maxMessageLength,
  removeCondition,
  setCondition,
} from '../../src/resources/conditions.ts';
import type { ConditionInput } from '../../src/resources/conditions.ts';
import { isReason, reasons } from '../../src/resources/reasons.ts';

const first = new Date('2026-11-23T01:02:03.456Z');
const later = new Date('2026-11-23T02:00:00.000Z');
const ready: ConditionInput = {
  type: 'Ready',
  status: 'False',
  observedGeneration: 1,
  reason: 'AwaitingRanks',
  message: '1 of 2 ranks',
};

test('a new condition is appended with whole seconds', () => {
  assert.deepEqual(setCondition([], ready, first), [
    { ...ready, lastTransitionTime: '2026-11-23T01:02:03Z' },
  ]);
});

test('lastTransitionTime moves only with the status', () => {
  const before = setCondition([], ready, first);
  const sameStatus = setCondition(before, { ...ready, message: '2 of 2 ranks' }, later);
  assert.equal(sameStatus[0]?.lastTransitionTime, '2026-11-23T01:02:03Z');
  assert.equal(sameStatus[0]?.message, '2 of 2 ranks');
  const flipped = setCondition(sameStatus, { ...ready, status: 'True' }, later);
  assert.equal(flipped[0]?.lastTransitionTime, '2026-11-23T02:00:00Z');
});

test('nothing is mutated, and an unchanged list is the same list', () => {
  const before = Object.freeze(setCondition([], ready, first));
  assert.equal(setCondition(before, ready, later), before);
  assert.notEqual(setCondition(before, { ...ready, status: 'True' }, later), before);
  assert.equal(findCondition(before, 'Ready')?.status, 'False');
});

test('a condition keeps its place; removal takes only its type', () => {
  const other: ConditionInput = { ...ready, type: 'Stalled', status: 'True' };
  const both = setCondition(setCondition([], ready, first), other, first);
  const updated = setCondition(both, { ...ready, status: 'True' }, later);
  assert.deepEqual(
    updated.map((condition) => condition.type),
    ['Ready', 'Stalled'],
  );
  assert.equal(isConditionTrue(updated, 'Ready'), true);
  assert.deepEqual(
    removeCondition(updated, 'Stalled').map((condition) => condition.type),
    ['Ready'],
  );
  assert.equal(removeCondition(both, 'Degraded'), both);
});

test('a message beyond the schema bound is cut', () => {
  const [condition] = setCondition([], { ...ready, message: 'x'.repeat(10_000) }, first);
  assert.equal(condition?.message.length, maxMessageLength);
  assert.ok(condition.message.endsWith('…'));
});

test('reasons are sorted, CamelCase, and explained by one sentence each', () => {
  const names = Object.keys(reasons);
  assert.deepEqual(names, names.toSorted());
  for (const [name, sentence] of Object.entries(reasons)) {
    assert.match(name, /^[A-Z][A-Za-z0-9]{2,62}$/);
    assert.match(sentence, /^[A-Z].*\.$/);
  }
  assert.equal(isReason('NodeLost'), true);
  assert.equal(isReason('toString'), false);
});
