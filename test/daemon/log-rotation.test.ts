import assert from 'node:assert/strict';
import { mkdtemp, open, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { rotateLog } from '../../src/daemon/log-rotation.ts';

test('a log keeps its writer and three files', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'espalier-logs-'));
  t.after(async () => rm(directory, { recursive: true }));
  const file = join(directory, 'x.log');
  const writer = await open(file, 'a');
  for (const text of ['first', 'second', 'third', 'fourth']) {
    await writer.appendFile(text.repeat(4));
    assert.equal(await rotateLog(file, 10), true);
  }
  await writer.appendFile('last');
  await writer.close();
  assert.equal(await rotateLog(file, 10), false);
  assert.deepEqual((await readdir(directory)).toSorted(), ['x.log', 'x.log.1', 'x.log.2']);
  assert.equal(await readFile(file, 'utf8'), 'last');
  assert.equal(await readFile(`${file}.1`, 'utf8'), 'fourth'.repeat(4));
  assert.equal(await readFile(`${file}.2`, 'utf8'), 'third'.repeat(4));
});

test('no log is no trouble, and an empty one stays', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'espalier-logs-'));
  t.after(async () => rm(directory, { recursive: true }));
  assert.equal(await rotateLog(join(directory, 'none.log'), 10), false);
  await writeFile(join(directory, 'empty.log'), '');
  assert.equal(await rotateLog(join(directory, 'empty.log'), 10), false);
});
