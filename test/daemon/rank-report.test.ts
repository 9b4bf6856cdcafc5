import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rankReport } from '../../src/daemon/rank-report.ts';
import { assignment } from '../support/node-documents.ts';

const reported = (decodeTokensPerSecond: number) =>
  rankReport({
    assignment: assignment(),
    state: 'Ready',
    process: { pid: 1, startTime: '' },
    status: { decodeTokensPerSecond } as Parameters<typeof rankReport>[0]['status'],
    residentBytes: undefined,
    logPath: '/log',
    error: undefined,
  }).decodeTokensPerSecond;

test('a rank that has decoded nothing yet reports no speed, and not 0 tokens a second', () => {
  assert.equal(reported(0), undefined);
  assert.equal(reported(Number.NaN), undefined);
  assert.equal(reported(12.5), 12.5);
});
