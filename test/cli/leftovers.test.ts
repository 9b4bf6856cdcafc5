import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { processesIn, rememberProcess, stopLeftover } from '../../src/cli/quickstart/leftovers.ts';

const startIn = async (t: TestContext, folder: string) => {
  const waits = 'setInterval(() => {}, 1000)';
  const child = spawn(process.execPath, ['-e', waits, join(folder, 'state')], { stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  return child;
};

const workspace = (t: TestContext): string => {
  const folder = mkdtempSync(join(tmpdir(), 'espalier-leftovers-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

test('a process that works in the workspace is found, and no other', async (t) => {
  const folder = workspace(t);
  const child = await startIn(t, folder);
  assert.deepEqual(await processesIn(folder), [child.pid]);
  assert.deepEqual(await processesIn(workspace(t)), []);
});

test('a remembered process is ended, but not one that took over its pid', async (t) => {
  const folder = workspace(t);
  const child = await startIn(t, folder);
  const pidFile = join(folder, 'service.pid');
  rememberProcess(pidFile, child.pid!);
  await stopLeftover(pidFile, 'the mark of something else', 5_000);
  assert.deepEqual(await processesIn(folder), [child.pid]);
  await stopLeftover(pidFile, join(folder, 'state'), 5_000);
  assert.deepEqual(await processesIn(folder), []);
  assert.equal(existsSync(pidFile), false);
});
