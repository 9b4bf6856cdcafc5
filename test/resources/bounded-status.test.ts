import assert from 'node:assert/strict';
import { test } from 'node:test';
import { boundedStatus } from '../../src/resources/bounded-status.ts';
import { loadSchemas } from '../../src/resources/schemas.ts';

const schemas = loadSchemas();

const condition = (change: object = {}) => ({
  type: 'Ready',
  status: 'False',
  observedGeneration: 1,
  lastTransitionTime: '2026-11-23T00:00:00Z',
  reason: 'GroupFailed',
  message: '',
  ...change,
});

const nodeStatus = (change: object = {}) => ({
  observedGeneration: 1,
  conditions: [condition()],
  links: [],
  engines: [],
  cachedModels: [],
  ranks: [],
  ...change,
});

test('a status within its bounds stays as it is', () => {
  const status = nodeStatus();
  assert.deepEqual(boundedStatus(schemas, 'ClusterNode', status), status);
});

test('what a daemon may report beyond the bounds of the CRD is cut', () => {
  const cachedModels = Array.from({ length: 1024 }, (_, index) => ({
    uri: `file:///${index}/${'m'.repeat(4000)}`,
    sizeBytes: 1,
    state: 'Ready',
  }));
  const engines = Array.from({ length: 64 }, (_, index) => ({ name: `E${index}`, version: '1' }));
  const ranks = Array.from({ length: 512 }, (_, rank) => ({
    deployment: 'default/sprout',
    group: 0,
    rank,
    state: 'Ready',
  }));
  const bounded = boundedStatus(
    schemas,
    'ClusterNode',
    nodeStatus({ cachedModels, engines, ranks }),
  ) as { cachedModels: { uri: string }[]; engines: object[]; ranks: object[] };
  const { length } = bounded.cachedModels;
  assert.deepEqual([length, bounded.engines.length, bounded.ranks.length], [256, 32, 256]);
  assert.equal(bounded.cachedModels[0]?.uri.length, 2048);
  assert.ok(bounded.cachedModels[0]?.uri.endsWith('…'));
});

test('a text is not cut within a character', () => {
  const message = '🌳'.repeat(4000);
  const { conditions } = boundedStatus(schemas, 'ModelDeployment', {
    observedGeneration: 1,
    conditions: [condition({ message: `x${message}` })],
    groups: [],
  });
  const cut = conditions[0]!.message;
  assert.ok(cut.length <= 4096 && cut.isWellFormed() && cut.endsWith('🌳…'));
});

test('what cannot be cut is refused, and named', () => {
  for (const [change, field] of [
    [{ reason: 'two words' }, 'status.conditions[0].reason'],
    [{ status: 'Maybe' }, 'status.conditions[0].status'],
    [{ message: undefined }, 'status.conditions[0]'],
    [{ extra: 1 }, 'status.conditions[0]'],
  ] as const) {
    const status = nodeStatus({ conditions: [condition(change)] });
    assert.throws(
      () => boundedStatus(schemas, 'ClusterNode', status),
      (error: Error) => error.message.includes(`${field} `),
    );
  }
});
