import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createQueue } from '../../src/controller/queue.ts';
import { fakeClock } from '../support/fake-clock.ts';

const newQueue = (random = 1) => {
  const clock = fakeClock();
  return { clock, queue: createQueue({ clock, random: () => random, maxMs: 40 }) };
};

test('a key that is added several times is taken once', async () => {
  const { queue } = newQueue();
  for (const key of ['a', 'b', 'a', 'a']) queue.add(key);
  assert.equal(queue.size(), 2);
  assert.equal(await queue.take(), 'a');
  assert.equal(await queue.take(), 'b');
});

test('a key that is added while it is worked on comes back after that, and not before', async () => {
  const { queue } = newQueue();
  queue.add('a');
  await queue.take();
  queue.add('a');
  queue.add('a');
  assert.equal(queue.size(), 0);
  queue.done('a');
  assert.equal(queue.size(), 1);
  assert.equal(await queue.take(), 'a');
  queue.done('a');
  assert.equal(queue.size(), 0);
});

test('a taker waits for the next key, in order of arrival', async () => {
  const { queue } = newQueue();
  const taken = [queue.take(), queue.take()];
  queue.add('a');
  queue.add('b');
  assert.deepEqual(await Promise.all(taken), ['a', 'b']);
});

test('urgent keys and others are taken by turns', async () => {
  const { queue } = newQueue();
  for (const key of ['a', 'b', 'c', 'd']) queue.add(key);
  for (const key of ['x', 'd', 'x']) queue.addUrgent(key);
  assert.equal(queue.size(), 5);
  const taken: (string | undefined)[] = [];
  while (queue.size() > 0) taken.push(await queue.take());
  assert.deepEqual(taken, ['x', 'a', 'd', 'b', 'c']);
});

test('a key that becomes urgent while it is worked on comes back before the others', async () => {
  const { queue } = newQueue();
  for (const key of ['a', 'b', 'c']) queue.add(key);
  await queue.take();
  queue.addUrgent('a');
  queue.done('a');
  assert.equal(await queue.take(), 'a');
  assert.equal(await queue.take(), 'b');
});

test('of several delays for one key the earliest counts', async () => {
  const { clock, queue } = newQueue();
  queue.addAfter('a', 1000);
  queue.addAfter('a', 100);
  queue.addAfter('a', 5000);
  await clock.advance(99);
  assert.equal(queue.size(), 0);
  await clock.advance(1);
  assert.equal(await queue.take(), 'a');
  queue.done('a');
  await clock.advance(10_000);
  assert.equal(queue.size(), 0);
});

test('backoff doubles per key up to its bound, and forget starts it anew', async () => {
  const { clock, queue } = newQueue();
  const delayOf = async (key: string): Promise<number> => {
    const before = clock.monotonicMs();
    queue.addRateLimited(key);
    while (queue.size() === 0) await clock.advance(1);
    await queue.take();
    queue.done(key);
    return clock.monotonicMs() - before;
  };
  assert.deepEqual([await delayOf('a'), await delayOf('a'), await delayOf('a')], [5, 10, 20]);
  assert.equal(await delayOf('b'), 5);
  queue.forget('a');
  assert.equal(await delayOf('a'), 5);
  for (let failure = 0; failure < 5; failure += 1) await delayOf('b');
  assert.equal(await delayOf('b'), 40);
});

test('shut down: waiting takers get nothing, and nothing is taken or added any more', async () => {
  const { clock, queue } = newQueue();
  const taker = queue.take();
  queue.addAfter('a', 10);
  queue.shutDown();
  assert.equal(await taker, undefined);
  queue.add('b');
  await clock.advance(100);
  assert.equal(await queue.take(), undefined);
});
