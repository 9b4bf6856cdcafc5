import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, rmdir, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createFreshness } from '../../src/daemon/freshness.ts';
import { offsetClock } from '../support/offset-clock.ts';

test('a status file that stays the same is stale, unless we slept, or the disk is full', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'espalier-fresh-'));
  t.after(async () => rm(directory, { recursive: true }));
  const clock = offsetClock();
  const requireFresh = createFreshness(clock, directory, 60_000);
  const look = async (afterMs: number) => {
    clock.advance(afterMs);
    await requireFresh();
  };
  await look(20_000);
  await look(20_000);
  await look(20_000);
  await look(20_000);
  const file = join(directory, 'status.json');
  await writeFile(file, '{}');
  await look(20_000);
  await look(20_000);
  await look(20_000);
  await utimes(file, 0, 0);
  await look(20_000);
  await look(500_000);
  await look(20_000);
  await look(20_000);
  const inTheWay = join(directory, 'write-probe');
  await mkdir(inTheWay);
  await look(25_000);
  await rmdir(inTheWay);
  await look(25_000);
  await look(25_000);
  await assert.rejects(look(25_000), { code: 'RankUnresponsive', message: /for 60 s/ });
});
