import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { seededRandom } from '../../src/base/random.ts';
import type { RankAssignment } from '../../src/nodedoc/types.ts';
import { daemonFixture, processesUnder } from '../support/daemon-fixture.ts';
import { eventually } from '../support/eventually.ts';
import { assignment } from '../support/node-documents.ts';
import { seed } from '../support/seed.ts';

test('whatever came before, the last document is what runs', async (t) => {
  const random = seededRandom(seed);
  const { hub, newDaemon, publish, report, dataDirectory } = await daemonFixture(t);
  const randomRanks = (): RankAssignment[] =>
    ['a', 'b', 'c'].flatMap((deployment) => {
      const incarnation = 1 + Math.floor(random() * 2);
      return random() < 0.6 ? [assignment({ deployment, incarnation })] : [];
    });
  let daemon = newDaemon();
  await daemon.start();
  for (let round = 0; round < 6; round += 1) {
    let isSeen = false;
    hub.onReport(() => (isSeen = true));
    publish(randomRanks());
    if (random() < 0.7) await eventually('some report', () => isSeen);
    const [victim] = await processesUnder(dataDirectory);
    if (victim !== undefined && random() < 0.3) process.kill(victim, 'SIGKILL');
    if (random() < 0.3) {
      await daemon.stop();
      daemon = newDaemon();
      await daemon.start();
    }
  }
  const last = [assignment({ deployment: 'a', incarnation: 9 }), assignment({ deployment: 'd' })];
  publish(last);
  await eventually('the last document', () => {
    const ranks = report()?.ranks ?? [];
    return ranks.length === 2 && ranks.every(({ state }) => state === 'Ready');
  });
  const reported = new Set(report()?.ranks.map(({ pid }) => pid));
  assert.deepEqual(new Set(await processesUnder(dataDirectory)), reported);
  assert.equal((await readdir(join(dataDirectory, 'ranks'))).length, 2);
});
