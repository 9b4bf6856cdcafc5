import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verdictOf } from '../../../src/cli/status/verdict.ts';
import { condition, deployment, minutesAgo } from '../objects.ts';

const ready = condition('Ready', 'True', 'AllRanksAnswered');
const notReady = condition('Ready', 'False', 'AwaitingRanks');
const reconciling = condition('Reconciling', 'True', 'AwaitingRanks');
const stalled = condition('Stalled', 'True', 'InsufficientMemory');

/** Rows of kstatus' own rules, in its order (facts: cli-utils, pkg/kstatus/status/core.go). */
const cases: [string, Parameters<typeof deployment>[1], string, string][] = [
  ['Ready=True is ready', { status: { conditions: [ready] } }, 'Ready', 'AllRanksAnswered'],
  [
    'Ready=False is in progress',
    { status: { conditions: [notReady] } },
    'InProgress',
    'AwaitingRanks',
  ],
  [
    'Stalled=True has failed',
    { status: { conditions: [notReady, stalled] } },
    'Failed',
    'InsufficientMemory',
  ],
  [
    'of Reconciling and Stalled the first in the list decides',
    { status: { conditions: [reconciling, stalled] } },
    'InProgress',
    'AwaitingRanks',
  ],
  [
    'a generation that was not looked at is in progress, whatever the conditions say',
    { status: { conditions: [ready] }, metadata: { generation: 2 } },
    'InProgress',
    'GenerationNotObserved',
  ],
  [
    'a fresh object is in progress',
    { status: { observedGeneration: -1 } },
    'InProgress',
    'GenerationNotObserved',
  ],
  [
    'a deletion comes before all else',
    { status: { conditions: [stalled] }, metadata: { deletionTimestamp: minutesAgo(1) } },
    'InProgress',
    'Terminating',
  ],
];

for (const [title, input, state, reason] of cases) {
  test(title, () => {
    const verdict = verdictOf(deployment('m', input));
    assert.deepEqual([verdict.state, verdict.reason], [state, reason]);
  });
}
