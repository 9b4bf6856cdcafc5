import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startDetached } from '../../src/engines/process.ts';
import type { RankRecord } from '../../src/daemon/rank-record.ts';
import {
  daemonFixture,
  isAlive,
  newDaemon,
  processesUnder,
  quickTiming,
} from '../support/daemon-fixture.ts';
import type { Fixture } from '../support/daemon-fixture.ts';
import { eventually } from '../support/eventually.ts';
import { assignment, nodeDocument } from '../support/node-documents.ts';

const main = fileURLToPath(new URL('../support/daemon-main.ts', import.meta.url));

/** A daemon as a process of its own, so that it can be killed. */
const spawnDaemon = (
  context: TestContext,
  { hubUrl, dataDirectory }: Pick<Fixture, 'hubUrl' | 'dataDirectory'>,
  stopRanks = false,
): ChildProcess => {
  const options = { nodeName: 'mac-1', hubUrl, dataDirectory, stopRanks, timing: quickTiming };
  const child = spawn(process.execPath, [main, JSON.stringify(options)], {
    stdio: ['ignore', 'inherit', 'pipe'],
    env: { ...process.env, ESPALIER_LOG_LEVEL: 'error' },
  });
  context.after(() => child.kill('SIGKILL'));
  return child;
};

const kill = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
};

const runDirectory = (dataDirectory: string) =>
  join(dataDirectory, 'ranks', 'default_sprout_0_1_0');
const recordOf = async (dataDirectory: string): Promise<RankRecord> =>
  JSON.parse(
    await readFile(join(runDirectory(dataDirectory), 'record.json'), 'utf8'),
  ) as RankRecord;

test('a daemon that was killed finds its rank again, untouched and Ready at once', async (t) => {
  const fixture = await daemonFixture(t);
  fixture.publish([assignment()]);
  const first = spawnDaemon(t, fixture);
  const before = await fixture.rankIn('Ready');
  await eventually(
    'proof is on record',
    async () => (await recordOf(fixture.dataDirectory)).isProven,
  );
  await kill(first, 'SIGKILL');
  assert.ok(await isAlive(before.pid!), 'the rank outlives its daemon');

  const states = new Set<string | undefined>();
  fixture.hub.onReport(() => states.add(fixture.rank()?.state));
  await fixture.newDaemon().start();
  await eventually('the new daemon reports', () => states.size > 0);
  await eventually('memory is read again', () => fixture.rank()?.residentBytes);
  assert.deepEqual([...states], ['Ready']);
  assert.equal(fixture.rank()?.pid, before.pid);

  process.kill(before.pid!, 'SIGKILL');
  const failed = await fixture.rankIn('Failed');
  assert.equal(failed.error?.code, 'RankExited');
  assert.match(failed.error.message, /how it ended is not known/);
});

test('SIGTERM leaves the ranks running, unless told to stop them', async (t) => {
  const fixture = await daemonFixture(t);
  fixture.publish([assignment()]);
  const first = spawnDaemon(t, fixture);
  const { pid } = await fixture.rankIn('Ready');
  await kill(first, 'SIGTERM');
  assert.ok(await isAlive(pid!));
  const entries = async () => readdir(fixture.dataDirectory);
  assert.equal((await entries()).includes('daemon.lock'), false);
  const second = spawnDaemon(t, fixture, true);
  await eventually('second starts', async () => (await entries()).includes('daemon.lock'));
  await kill(second, 'SIGTERM');
  assert.equal(await isAlive(pid!), false);
  assert.deepEqual(await readdir(join(fixture.dataDirectory, 'ranks')), []);
});

test('one daemon per data directory: the second names the first', async (t) => {
  const fixture = await daemonFixture(t);
  const first = spawnDaemon(t, fixture);
  await eventually('first reports', () => fixture.report());
  const pattern = new RegExp(`node daemon with pid ${first.pid} already uses this data directory`);
  await assert.rejects(fixture.newDaemon().start(), {
    code: 'DaemonAlreadyRunning',
    message: pattern,
  });
  await kill(first, 'SIGKILL');
  await fixture.newDaemon().start();
});

test('a data directory that cannot be made is named', async (t) => {
  const fixture = await daemonFixture(t);
  const inTheWay = join(fixture.dataDirectory, 'file');
  await writeFile(inTheWay, '');
  const daemon = newDaemon({ hubUrl: fixture.hubUrl, dataDirectory: join(inTheWay, 'data') });
  await assert.rejects(daemon.start(), { code: 'DataNotWritable', message: /file\/data/ });
});

test('a rank that ended while no daemon ran is Failed, not started again under one id', async (t) => {
  const fixture = await daemonFixture(t);
  fixture.publish([assignment()]);
  const daemon = fixture.newDaemon();
  await daemon.start();
  const { pid } = await fixture.rankIn('Ready');
  await daemon.stop();
  process.kill(pid!, 'SIGKILL');
  await eventually('rank is gone', async () => !(await isAlive(pid!)));
  const next = fixture.newDaemon();
  await next.start();
  assert.equal((await fixture.rankIn('Failed')).error?.code, 'RankExited');
  await next.stop();
  await fixture.newDaemon().start();
  assert.equal(
    (await fixture.rankIn('Failed')).error?.code,
    'RankExited',
    'still, a restart later',
  );
});

test('a rank whose pid was never written down is found by its mark', async (t) => {
  const fixture = await daemonFixture(t);
  fixture.publish([assignment()]);
  const daemon = fixture.newDaemon();
  await daemon.start();
  const { pid } = await fixture.rankIn('Ready');
  await daemon.stop();
  const { process: _, ...intent } = await recordOf(fixture.dataDirectory);
  await writeFile(join(runDirectory(fixture.dataDirectory), 'record.json'), JSON.stringify(intent));
  await fixture.newDaemon().start();
  await eventually(
    'adopted',
    () => fixture.rank()?.pid === pid && fixture.rank()?.state === 'Ready',
  );
});

test('a process without a record, and a record without a process or a place, are cleared', async (t) => {
  const fixture = await daemonFixture(t);
  const strayDirectory = join(fixture.dataDirectory, 'ranks', 'default_stray_0_1_0');
  await mkdir(strayDirectory, { recursive: true });
  const stray = await startDetached(
    {
      file: '/bin/sh',
      args: ['-c', 'while :; do sleep 1; done'],
      env: { ESPALIER_RUN_DIRECTORY: strayDirectory },
    },
    { workingDirectory: '/', logFile: join(fixture.dataDirectory, 'stray.log') },
  );
  await mkdir(runDirectory(fixture.dataDirectory), { recursive: true });
  await writeFile(join(runDirectory(fixture.dataDirectory), 'record.json'), '{"assig');
  await fixture.newDaemon().start();
  assert.equal(await isAlive(stray.pid), false);
  assert.deepEqual(await readdir(join(fixture.dataDirectory, 'ranks')), []);
});

test('after a reboot a whole group starts again by itself, a part of one reports it', async (t) => {
  const fixture = await daemonFixture(t);
  const part = assignment({ deployment: 'part', worldSize: 2, interconnectMode: 'TCP' });
  fixture.publish([assignment(), part]);
  const daemon = fixture.newDaemon();
  await daemon.start();
  const old = await fixture.rankIn('Ready', 'default/sprout/0/1/0');
  await fixture.rankIn('Ready', part.id);
  await daemon.stop();
  // A reboot, as far as a daemon can tell: other boot id on record, and no process.
  for (const pid of await processesUnder(fixture.dataDirectory)) process.kill(pid, 'SIGKILL');
  for (const name of ['default_sprout_0_1_0', 'default_part_0_1_0']) {
    const file = join(fixture.dataDirectory, 'ranks', name, 'record.json');
    const record = JSON.parse(await readFile(file, 'utf8')) as RankRecord;
    await writeFile(file, JSON.stringify({ ...record, bootId: 'an earlier boot' }));
  }
  await eventually(
    'all gone',
    async () => (await processesUnder(fixture.dataDirectory)).length === 0,
  );
  await fixture.newDaemon().start();
  const failed = await fixture.rankIn('Failed', part.id);
  assert.equal(failed.error?.code, 'HostRebooted');
  const again = await fixture.rankIn('Ready', 'default/sprout/0/1/0');
  assert.notEqual(again.pid, old.pid);
});

test('a damaged document stops nothing and starts nothing until the hub has spoken', async (t) => {
  const fixture = await daemonFixture(t);
  fixture.publish([assignment()]);
  const daemon = fixture.newDaemon();
  await daemon.start();
  const { pid } = await fixture.rankIn('Ready');
  await daemon.stop();
  await writeFile(join(fixture.dataDirectory, 'document.json'), '{"epoch":1,"docu');
  await fixture.newDaemon().start();
  await eventually(
    'followed again',
    () => fixture.report()?.observedVersion === nodeDocument([assignment()]).version,
  );
  assert.equal((await fixture.rankIn('Ready')).pid, pid);
  await rm(join(fixture.dataDirectory, 'document.json'));
});
