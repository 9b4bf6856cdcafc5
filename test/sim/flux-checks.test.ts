import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Condition } from '../../src/resources/types.ts';
import { fluxChecks, fluxFailures } from '../support/flux-checks.ts';
import type { Judged } from '../support/flux-checks.ts';
import { play, scenes } from '../upgrade/scenes.ts';

test('every status that is written in any scene passes Flux’s checks', async () => {
  let count = 0;
  for (const scene of Object.keys(scenes)) {
    const { violations, statusesWritten } = await play(scene);
    assert.deepEqual(violations, [], scene);
    count += statusesWritten;
  }
  assert.ok(count > 500, `${count} statuses`);
});

const condition = (
  type: string,
  status: Condition['status'],
  observedGeneration = 2,
): Condition => ({
  type,
  status,
  observedGeneration,
  lastTransitionTime: '2026-11-23T00:00:00Z',
  reason: 'Because',
  message: '',
});

const object = (conditions: Condition[], observedGeneration = 2): Judged => ({
  kind: 'ModelDeployment',
  metadata: { name: 'm', generation: 2 },
  status: { observedGeneration, conditions },
});

const ready = condition('Ready', 'True');
const notReady = condition('Ready', 'False');

/** What fails each of them. */
const wrong: Record<string, Judged> = {
  FAIL0001: object([ready, condition('Reconciling', 'True')]),
  FAIL0002: object([condition('Available', 'True')]),
  FAIL0003: object([condition('Ready', 'Unknown'), condition('Reconciling', 'True')]),
  FAIL0004: object([condition('Ready', 'Unknown'), condition('Stalled', 'True')]),
  FAIL0005: object([notReady, condition('Reconciling', 'True'), condition('Stalled', 'True')]),
  FAIL0006: object([notReady], 3),
  FAIL0007: object([ready], 1),
  FAIL0008: object([ready, condition('Available', 'True', 1)]),
  FAIL0009: object([ready, condition('Available', 'True', 3)]),
  FAIL0011: object([condition('Ready', 'Unknown')]),
  WARN0003: object([ready, condition('Reconciling', 'False')]),
  WARN0004: object([ready, condition('Stalled', 'False')]),
  WARN0005: object([notReady, condition('Available', 'True', 0)]),
};

test('each check has something to say', () => {
  assert.deepEqual(Object.keys(wrong), fluxChecks);
  for (const [check, judged] of Object.entries(wrong)) {
    const failures = fluxFailures(judged).map((line) => line.slice(0, check.length));
    assert.ok(failures.includes(check), `${check}: ${failures.join(', ') || 'nothing'}`);
  }
  const good = [
    object([ready, condition('Degraded', 'True')]),
    object([notReady, condition('Stalled', 'True')]),
  ];
  assert.deepEqual(good.flatMap(fluxFailures), []);
});
