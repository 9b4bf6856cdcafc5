import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulate } from './simulate.ts';

// A few; `npm run sim` runs as many as one likes.
for (const seed of [1, 2, 3, 4, 5]) {
  test(`seed ${seed}: two replicas behind a bad network lose no intent`, async () => {
    const { failure } = await simulate(seed);
    assert.equal(failure?.message, undefined, failure?.trace.join('\n'));
  });
}

test('a seed is the same run every time', async () => {
  const [first, second] = [await simulate(6), await simulate(6)];
  assert.equal(first.digest, second.digest);
  assert.deepEqual(first, second);
});

test('another seed is another run', async () => {
  assert.notEqual((await simulate(7)).digest, (await simulate(8)).digest);
});
