import assert from 'node:assert/strict';
import { access, mkdir, readFile, readdir, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { daemonFixture, isAlive, processesUnder } from '../support/daemon-fixture.ts';
import { eventually } from '../support/eventually.ts';
import { assignment } from '../support/node-documents.ts';

const runDirectory = (dataDirectory: string) =>
  join(dataDirectory, 'ranks', 'default_sprout_0_1_0');

test('a rank goes from the document to Ready, with its facts, and from the document to nothing', async (t) => {
  const { newDaemon, publish, rankIn, report, dataDirectory } = await daemonFixture(t);
  publish([assignment()]);
  await newDaemon().start();
  const ready = await rankIn('Ready');
  assert.ok(await isAlive(ready.pid!));
  assert.match(ready.endpointUrl!, /^http:\/\/127\.0\.0\.1:\d+\/v1$/);
  assert.match(ready.rendezvousAddress!, /^127\.0\.0\.1:\d+$/);
  assert.equal(ready.shardBytes, 1000);
  assert.equal(ready.allReduces, 42);
  assert.equal(ready.logPath, join(dataDirectory, 'logs', 'default.sprout.0.0.log'));
  assert.match(await readFile(ready.logPath, 'utf8'), /rank 0 starts/);
  await eventually('resident memory', () => (report()?.ranks[0]?.residentBytes ?? 0) > 1_000_000);
  assert.deepEqual(report()?.cachedModels, [
    { uri: 'file:///models/sprout', sizeBytes: 2000, state: 'Ready' },
  ]);

  publish([]);
  await eventually('rank leaves the report', () => report()?.ranks.length === 0);
  assert.equal(await isAlive(ready.pid!), false);
  assert.deepEqual(await readdir(join(dataDirectory, 'ranks')), []);
});

test('rank 1 waits for the address of rank 0', async (t) => {
  const { newDaemon, publish, rankIn } = await daemonFixture(t);
  const rank1 = assignment({ rank: 1, worldSize: 2 });
  publish([rank1]);
  await newDaemon().start();
  const pending = await rankIn('Pending');
  assert.equal(pending.pid, undefined);
  publish([{ ...rank1, rendezvous: { ...rank1.rendezvous, address: '127.0.0.1:4000' } }]);
  const ready = await rankIn('Ready');
  assert.equal(ready.endpointUrl, undefined);
});

test('a rank that ignores SIGTERM is killed with its children, and its successor waits for that', async (t) => {
  const { hub, newDaemon, publish, rankIn, report, dataDirectory } = await daemonFixture(t);
  const args = ['--ignore-sigterm', '--with-child'];
  publish([assignment({ engine: { args }, deadlines: { stopGraceMs: 3_000 } })]);
  await newDaemon().start();
  const old = await rankIn('Ready');
  assert.ok((await processesUnder(dataDirectory)).length >= 2);

  const seen: string[] = [];
  hub.onReport(() => {
    const ranks = report()?.ranks ?? [];
    seen.push(ranks.map(({ id, state, pid }) => `${id} ${state} ${pid ? 'runs' : ''}`).join(', '));
  });
  const next = assignment({ incarnation: 2 });
  publish([next]);
  const ready = await rankIn('Ready', next.id);
  assert.ok(seen.includes('default/sprout/0/1/0 Stopping runs, default/sprout/0/2/0 Pending '));
  assert.ok(
    seen.every((ranks) => ranks.split('runs').length <= 2),
    'never two at a time',
  );
  assert.deepEqual(await processesUnder(dataDirectory), [ready.pid]);
  assert.equal(await isAlive(old.pid!), false);
  assert.match(await readFile(ready.logPath!, 'utf8'), /SIGTERM ignored/);
});

test('a rank of another group under the same id is replaced, not taken over', async (t) => {
  const { newDaemon, publish, rankIn, report } = await daemonFixture(t);
  publish([assignment()]);
  await newDaemon().start();
  const old = await rankIn('Ready');
  publish([assignment({ rendezvous: { address: null, secret: 'of the deployment made anew' } })]);
  await eventually('another process is Ready', () => {
    const [rank] = report()?.ranks ?? [];
    return rank?.state === 'Ready' && rank.pid !== old.pid;
  });
  assert.equal(await isAlive(old.pid!), false);
});

test('a rank that has no room on disk is Failed, and says so', async (t) => {
  const { newDaemon, publish, rankIn, dataDirectory } = await daemonFixture(t);
  await newDaemon().start();
  await rmdir(join(dataDirectory, 'ranks'));
  await writeFile(join(dataDirectory, 'ranks'), 'in the way');
  publish([assignment()]);
  const { error } = await rankIn('Failed');
  assert.equal(error?.code, 'DataNotWritable');
  assert.equal(error.terminal, false);
  await rm(join(dataDirectory, 'ranks'));
  await mkdir(join(dataDirectory, 'ranks'));
  const next = assignment({ incarnation: 2 });
  publish([next]);
  await rankIn('Ready', next.id);
});

test('a rank that ends by itself is Failed with its exit code, and stays so', async (t) => {
  const { newDaemon, publish, rankIn, report, rank } = await daemonFixture(t);
  publish([assignment({ engine: { args: ['--exit-with', '3'] } })]);
  await newDaemon().start();
  const failed = await rankIn('Failed');
  assert.deepEqual(failed.error, {
    code: 'RankExited',
    message: 'the process of rank 0 exited with code 3; its log says more',
    terminal: false,
    exitCode: 3,
  });
  assert.equal(failed.pid, undefined);
  publish([
    assignment({ engine: { args: ['--exit-with', '3'] } }),
    assignment({ deployment: 'b' }),
  ]);
  await rankIn('Ready', 'default/b/0/1/0');
  assert.equal(rank('default/sprout/0/1/0')?.state, 'Failed', 'the controller owns restarts');
  publish([]);
  await eventually('it leaves with the document', () => report()?.ranks.length === 0);
});

test('a killed rank names the signal', async (t) => {
  const { newDaemon, publish, rankIn } = await daemonFixture(t);
  publish([assignment()]);
  await newDaemon().start();
  process.kill((await rankIn('Ready')).pid!, 'SIGKILL');
  assert.equal((await rankIn('Failed')).error?.signal, 'SIGKILL');
});

test('an engine that says why it failed is believed', async (t) => {
  const { newDaemon, publish, rankIn, dataDirectory } = await daemonFixture(t);
  publish([assignment({ engine: { args: ['--fail-with', 'TensorMissing'] } })]);
  await newDaemon().start();
  assert.deepEqual((await rankIn('Failed')).error, {
    code: 'TensorMissing',
    message: 'as asked',
    terminal: true,
    guiltyRank: 1,
  });
  assert.deepEqual(await processesUnder(dataDirectory), []);
});

test('a stopped process is found out, and killed', async (t) => {
  const { newDaemon, publish, rankIn, dataDirectory } = await daemonFixture(t);
  publish([assignment()]);
  // Liveness is slow here, so that it is not the canary that finds it.
  await newDaemon({ statusStaleMs: 4_000, livenessMs: 60_000 }).start();
  process.kill((await rankIn('Ready')).pid!, 'SIGSTOP');
  const failed = await rankIn('Failed');
  assert.equal(failed.error?.code, 'RankUnresponsive');
  assert.deepEqual(await processesUnder(dataDirectory), []);
});

test('a rank that serves but whose canary fails twice is killed', async (t) => {
  const { newDaemon, publish, rankIn, dataDirectory } = await daemonFixture(t);
  publish([assignment()]);
  await newDaemon().start();
  await rankIn('Ready');
  await writeFile(join(runDirectory(dataDirectory), 'canary-fails'), '');
  const failed = await rankIn('Failed');
  assert.equal(failed.error?.code, 'CanaryFailed');
  assert.match(failed.error.message, /2 times in a row: canary got 500/);
  assert.deepEqual(await processesUnder(dataDirectory), []);
});

test('stop with ranks leaves no process and no file of a rank', async (t) => {
  const { newDaemon, publish, rankIn, report, dataDirectory } = await daemonFixture(t);
  publish([assignment({ engine: { args: ['--with-child'] } })]);
  const daemon = newDaemon();
  await daemon.start();
  await rankIn('Ready');
  await daemon.stop({ ranks: true });
  assert.deepEqual(await processesUnder(dataDirectory), []);
  assert.deepEqual(await readdir(join(dataDirectory, 'ranks')), []);
  await assert.rejects(access(join(dataDirectory, 'daemon.lock')));
  assert.equal(report()?.ranks[0]?.state, 'Stopped', 'the hub hears of it');
});
