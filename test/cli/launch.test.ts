import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { eventually } from '../support/eventually.ts';

interface Run {
  child: ChildProcess;
  stdout: () => string;
  stderr: () => string;
  code: Promise<number>;
  folder: string;
}

/** `espalier launch …` with a folder of its own as TMPDIR, which must be empty in the end. */
const launch = (t: TestContext, ...args: string[]): Run => {
  const folder = mkdtempSync(join(tmpdir(), 'espalier-test-launch-'));
  const child = spawn(process.execPath, ['src/cli/main.ts', 'launch', ...args], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  t.after(() => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text) => (stdout += text));
  child.stderr.on('data', (text) => (stderr += text));
  const code = new Promise<number>((resolve) => {
    child.on('close', (exitCode, signal) => resolve(signal ? -1 : (exitCode ?? -1)));
  });
  return { child, stdout: () => stdout, stderr: () => stderr, code, folder };
};

const shell = (script: string): string[] => ['--', 'sh', '-c', script];

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

test('every rank learns its number, the size, the meeting place and the library', async (t) => {
  const script = 'echo "$ESPALIER_RANK/$ESPALIER_SIZE $ESPALIER_RENDEZVOUS $MLX_MPI_LIBNAME"';
  const run = launch(t, '--ranks', '3', ...shell(script));
  assert.equal(await run.code, 0, run.stderr());
  const lines = run.stdout().trimEnd().split('\n').toSorted();
  assert.equal(lines.length, 3);
  for (const [rank, line] of lines.entries()) {
    const [, place, library] = /^\S+ \S+ file:(\/.+) (\/.+)$/.exec(line) ?? [];
    assert.ok(line.startsWith(`[${rank}] ${rank}/3 `), line);
    assert.ok(place?.startsWith(run.folder), line);
    assert.ok(existsSync(library!), line);
  }
  assert.deepEqual(readdirSync(run.folder), []);
});

test('no secret stands on a command line or in the environment', async (t) => {
  const run = launch(t, '--ranks', '2', ...shell('env; tr "\\0" " " < /proc/$$/cmdline || true'));
  assert.equal(await run.code, 0);
  assert.doesNotMatch(run.stdout(), /SECRET/);
});

test('--link names the only link; rank 0 alone gets the input', async (t) => {
  const run = launch(t, '--ranks', '2', '--link', 'tcp', ...shell('echo "$ESPALIER_LINKS"; cat'));
  run.child.stdin!.end('typed\n');
  assert.equal(await run.code, 0);
  const lines = run.stdout().trimEnd().split('\n').toSorted();
  assert.deepEqual(lines, ['[0] tcp', '[0] typed', '[1] tcp']);
});

test('the first rank that fails gives the exit code, and ends the others with their children', async (t) => {
  const script = `if [ "$ESPALIER_RANK" = 1 ]; then
      while [ ! -s "$TMPDIR/pid" ]; do sleep 0.01; done; exit 7
    fi
    sleep 600 & echo $! > "$TMPDIR/pid"; wait`;
  const run = launch(t, '--ranks', '2', ...shell(script));
  await eventually('rank 0 started its child', () => existsSync(join(run.folder, 'pid')));
  assert.equal(await run.code, 7);
  assert.match(run.stderr(), /rank 1 ended with code 7; the others end/);
  const pid = Number(readFileSync(join(run.folder, 'pid'), 'utf8'));
  await eventually('the child of rank 0 is gone', () => !isAlive(pid));
});

test('a program that does not exist is named', async (t) => {
  const run = launch(t, '--ranks', '2', '--', 'no-such-program');
  assert.equal(await run.code, 127);
  assert.match(run.stderr(), /could not be started: no-such-program/);
});

test('SIGTERM ends all ranks, one that ignores it too when it comes twice', async (t) => {
  const stubborn = shell('trap "echo told" TERM; echo ready; while :; do sleep 600; done');
  const run = launch(t, '--ranks', '2', ...stubborn);
  const both = async (word: string) =>
    eventually(`both are ${word}`, () => run.stdout().split(word).length === 3);
  await both('ready');
  run.child.kill('SIGTERM');
  await both('told');
  run.child.kill('SIGTERM');
  assert.equal(await run.code, 143);
  assert.deepEqual(readdirSync(run.folder), []);
});

test('a rank count that cannot be right is a usage error', async (t) => {
  for (const ranks of ['0', '65', 'two']) {
    assert.equal(await launch(t, '--ranks', ranks, ...shell('true')).code, 2);
  }
});
