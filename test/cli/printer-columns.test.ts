import assert from 'node:assert/strict';
import { test } from 'node:test';
import { age, table } from '../../src/cli/output.ts';
import { printerCell } from '../../src/cli/printer-columns.ts';

const now = new Date('2026-11-23T12:00:00Z');
const object = {
  metadata: { name: 'a', creationTimestamp: '2026-11-23T11:30:00Z' },
  status: {
    conditions: [
      { type: 'Planned', status: 'True' },
      { type: 'Ready', status: 'False', reason: 'RankLost' },
    ],
    groups: [{ members: [{ nodeName: 'mini-1' }, { nodeName: 'mini-2' }] }],
    replicas: 2,
  },
};
const cell = (jsonPath: string, type = 'string') =>
  printerCell({ name: 'x', type, jsonPath }, object, now);

test('a column reads fields, filters conditions and takes the first of several, as an API server does', () => {
  assert.equal(cell('.status.replicas', 'integer'), '2');
  assert.equal(cell('.status.conditions[?(@.type=="Ready")].reason'), 'RankLost');
  assert.equal(cell('.status.groups[*].members[*].nodeName'), 'mini-1');
  assert.equal(cell('.status.groups[0].members[1].nodeName'), 'mini-2');
  assert.equal(cell('.metadata.creationTimestamp', 'date'), '30m');
});

test('what is not there is an empty cell', () => {
  assert.equal(cell('.status.plan.strategy'), '');
  assert.equal(cell('.status.conditions[?(@.type=="Stalled")].reason'), '');
  assert.equal(cell('.status.absent', 'date'), '');
});

test('ages grow coarser and a table lines up', () => {
  assert.deepEqual(
    ['11:59:30', '11:50:00', '08:00:00'].map((time) => age(`2026-11-23T${time}Z`, now)),
    ['30s', '10m', '4h'],
  );
  assert.equal(table(['Name', 'Age'], [['long-name', '1s']]), 'NAME        AGE\nlong-name   1s');
});
