import { test } from 'node:test';
import { simulate } from './simulate.ts';

// A few; `npm run sim` runs as many as one likes.
for (const seed of [1, 2, 3, 4, 5]) {
  test(`seed ${seed}: two replicas behind a bad network lose no intent`, async () => {
    await simulate(seed);
  });
}
