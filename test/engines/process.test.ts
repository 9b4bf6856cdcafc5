import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { runCommand, startDetached } from '../../src/engines/process.ts';

const folder = async (context: TestContext): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'espalier-process-'));
  context.after(async () => rm(directory, { recursive: true }));
  return directory;
};

test('a detached process leads its group, appends to its log, and sees no secret of ours', async (t) => {
  const workingDirectory = await folder(t);
  const logFile = join(workingDirectory, 'x.log');
  process.env['AWS_SECRET_ACCESS_KEY'] = 'ours';
  process.env['ESPALIER_TEST_FLAG'] = 'passed on';
  t.after(() => {
    delete process.env['AWS_SECRET_ACCESS_KEY'];
    delete process.env['ESPALIER_TEST_FLAG'];
  });
  const command = {
    file: '/bin/sh',
    args: ['-c', 'echo "$$ $(ps -o pgid= -p $$)"; env; pwd >&2; exit 3'],
    env: { OWN: 'yes' },
  };
  const child = await startDetached(command, { workingDirectory, logFile });
  assert.deepEqual(await child.exited, { exitCode: 3 });
  const first = await readFile(logFile, 'utf8');
  assert.match(first, new RegExp(`^${child.pid} +${child.pid}\n`));
  assert.match(first, /OWN=yes/);
  assert.match(first, /ESPALIER_TEST_FLAG=passed on/);
  assert.doesNotMatch(first, /AWS_SECRET/);
  assert.match(first, new RegExp(workingDirectory));
  assert.equal((await stat(logFile)).mode & 0o777, 0o600);
  await (
    await startDetached(command, { workingDirectory, logFile })
  ).exited;
  assert.ok((await readFile(logFile, 'utf8')).startsWith(first));
});

test('a signal is told, and what cannot start is named', async (t) => {
  const workingDirectory = await folder(t);
  const logFile = join(workingDirectory, 'x.log');
  const killed = await startDetached(
    { file: '/bin/sh', args: ['-c', 'kill -9 $$'], env: {} },
    { workingDirectory, logFile },
  );
  assert.deepEqual(await killed.exited, { signal: 'SIGKILL' });
  const absent = { file: '/no/such/engine', args: [], env: {} };
  await assert.rejects(startDetached(absent, { workingDirectory, logFile }), {
    code: 'RankNotStarted',
    message: /could not start \/no\/such\/engine: .*ENOENT/,
  });
  const noLog = join(workingDirectory, 'none', 'x.log');
  await assert.rejects(
    startDetached({ ...absent, file: '/bin/sh' }, { workingDirectory, logFile: noLog }),
    { code: 'RankNotStarted', message: /none\/x\.log/ },
  );
});

test('a command gives its output, or fails, or is cut off', async () => {
  assert.equal(await runCommand('/bin/sh', ['-c', 'echo "$LC_ALL"']), 'C');
  await assert.rejects(runCommand('/bin/sh', ['-c', 'exit 1']), { exitCode: 1 });
  await assert.rejects(runCommand('/bin/sh', ['-c', 'sleep 100'], { timeoutMs: 50 }), {
    timedOut: true,
  });
});
