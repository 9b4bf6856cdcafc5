import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, readdir, rm, rmdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeFileDurably } from '../../src/daemon/durable-file.ts';

test('a file is replaced whole, readable by its owner only, or left as it was', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'espalier-durable-'));
  t.after(async () => rm(directory, { recursive: true }));
  const file = join(directory, 'x.json');
  await writeFileDurably(file, 'one');
  await writeFileDurably(file, 'two');
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(directory), ['x.json']);

  await mkdir(`${file}.tmp`);
  await assert.rejects(writeFileDurably(file, 'three'), {
    code: 'DataNotWritable',
    message: /x\.json/,
  });
  assert.equal(await readFile(file, 'utf8'), 'two');
  await rmdir(`${file}.tmp`);
  await assert.rejects(writeFileDurably(join(directory, 'none', 'x'), ''), {
    code: 'DataNotWritable',
  });
});
