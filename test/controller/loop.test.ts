import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { EspalierError } from '../../src/base/errors.ts';
import { createLoop, done } from '../../src/controller/loop.ts';
import type { Outcome } from '../../src/controller/loop.ts';
import { createQueue } from '../../src/controller/queue.ts';
import { fakeClock } from '../support/fake-clock.ts';

const newLoop = (reconcile: (key: string) => Promise<Outcome>, workers = 1) => {
  const clock = fakeClock();
  const queue = createQueue({ clock, random: () => 1 });
  const fenced: string[] = [];
  const loop = createLoop({
    queue,
    reconcile,
    workers,
    clock,
    logger: pino({ level: 'silent' }),
    onFenced: ({ code }) => fenced.push(code),
  });
  loop.start();
  return { clock, queue, loop, fenced };
};

/** Times at which a key was reconciled over 40 s. */
const runsOf = async (reconcile: () => Promise<Outcome>): Promise<number[]> => {
  const times: number[] = [];
  const { clock, queue, loop } = newLoop(async () => {
    times.push(clock.monotonicMs());
    return reconcile();
  });
  queue.add('a');
  await clock.settle();
  await clock.advance(40_000);
  await loop.stop(0);
  return times;
};

test('done: nothing until the next change', async () => {
  assert.deepEqual(await runsOf(async () => done), [0]);
});

test('waiting: again after the time that it names', async () => {
  const times = await runsOf(async () => ({ kind: 'waiting', afterMs: 15_000 }));
  assert.deepEqual(times, [0, 15_000, 30_000]);
});

test('a terminal error is not tried again', async () => {
  const times = await runsOf(async () => {
    throw new EspalierError('ModelFolderMissing', 'no such folder');
  });
  assert.deepEqual(times, [0]);
});

test('a waiting error is looked at every 5 s', async () => {
  const times = await runsOf(async () => {
    throw new EspalierError('NodeNotDeclared', 'nobody knows it');
  });
  assert.deepEqual(times.slice(0, 3), [0, 5000, 10_000]);
});

test('any other error is tried again with a growing pause, and the loop goes on', async () => {
  const times = await runsOf(async () => {
    throw new TypeError('a bug');
  });
  assert.deepEqual(times.slice(0, 4), [0, 5, 15, 35]);
  assert.ok(times.length < 20);
});

test('a fenced control plane calls back and does not try again', async () => {
  const { clock, queue, fenced, loop } = newLoop(async () => {
    throw new EspalierError('EpochFenced', 'a newer one writes');
  });
  queue.add('a');
  await clock.settle();
  await clock.advance(60_000);
  assert.deepEqual(fenced, ['EpochFenced']);
  await loop.stop(0);
});

test('two workers never work on one key at the same time', async () => {
  const active = new Set<string>();
  let most = 0;
  const { clock, queue, loop } = newLoop(async (key) => {
    assert.ok(!active.has(key));
    active.add(key);
    most = Math.max(most, active.size);
    await Promise.resolve();
    active.delete(key);
    return done;
  }, 2);
  for (let round = 0; round < 50; round += 1) {
    for (const key of ['a', 'b', 'c']) queue.add(key);
    await clock.settle();
  }
  assert.equal(most, 2);
  await loop.stop(0);
});

test('stop lets a running reconcile end, within its deadline', async () => {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const { clock, queue, loop } = newLoop(async () => promise);
  queue.add('a');
  await clock.settle();
  const stopping = loop.stop(1000);
  resolve(done);
  assert.equal(await stopping, true);

  const stuck = newLoop(async () => new Promise<Outcome>(() => {}));
  stuck.queue.add('a');
  await stuck.clock.settle();
  const givingUp = stuck.loop.stop(1000);
  await stuck.clock.advance(1000);
  assert.equal(await givingUp, false);
});
