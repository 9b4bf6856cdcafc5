import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import type { LiveProcess } from '../../src/daemon/host/host.ts';
import { terminate } from '../../src/daemon/terminate.ts';
import { defaultTiming } from '../../src/daemon/timing.ts';
import { eventually } from '../support/eventually.ts';

test('a process that outlives SIGKILL is told once, and waited for until it is gone', async () => {
  // No process can be made to hang in the kernel here; a pid beyond the largest possible stands for one.
  const hanging = { pid: 2 ** 30, groupId: 2 ** 30, startTime: '1', runDirectory: '/data/ranks/x' };
  const left: LiveProcess[] = [hanging, { ...hanging, pid: 2 ** 30 + 1, runDirectory: '/other' }];
  const told: number[][] = [];
  let isGone = false;
  const keepAlive = setInterval(() => {}, 1_000);
  const ended = terminate({
    clock: systemClock,
    timing: { ...defaultTiming, killMs: 30 },
    processes: {
      find: async () => hanging,
      isAlive: async () => true,
      residentBytes: async () => undefined,
      list: async () => (isGone ? [] : left),
    },
    runDirectory: '/data/ranks/x',
    process: undefined,
    graceMs: 0,
    onUnkillable: (pids) => told.push(pids),
  });
  await eventually('told', () => told.length > 0);
  isGone = true;
  await ended;
  clearInterval(keepAlive);
  assert.deepEqual(told, [[2 ** 30]]);
});
