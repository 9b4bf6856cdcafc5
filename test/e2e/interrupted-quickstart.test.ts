import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { processesIn } from '../../src/cli/quickstart/leftovers.ts';
import { eventually } from '../support/eventually.ts';

test('a quickstart that is told twice to stop leaves nothing running', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'espalier-interrupted-'));
  const child = spawn(process.execPath, ['src/cli/main.ts', 'quickstart', '--once'], {
    detached: true,
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  t.after(async () => {
    child.kill('SIGKILL');
    for (const pid of await processesIn(folder)) process.kill(pid, 'SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  const ended = once(child, 'exit');
  let text = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const says = async (words: string) => eventually(`it says ${words}`, () => text.includes(words));

  await says('✓ rank 1 on');
  assert.ok((await processesIn(folder)).length >= 4);
  // As `timeout` does it to npm, which hands the signal on as well.
  process.kill(-child.pid!, 'SIGTERM');
  await says('stopping ranks');
  if (child.exitCode === null) process.kill(-child.pid!, 'SIGTERM');
  assert.deepEqual(await ended, [143, null]);
  assert.deepEqual(await processesIn(folder), []);
});
