import assert from 'node:assert/strict';
import { mkdir, rmdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createNodeDocument } from '../../src/nodedoc/version.ts';
import { daemonFixture, isAlive, newDaemon, startHub } from '../support/daemon-fixture.ts';
import { eventually } from '../support/eventually.ts';
import { assignment, nodeDocument } from '../support/node-documents.ts';

const keptEpoch = async (dataDirectory: string): Promise<number> =>
  (JSON.parse(await readFile(join(dataDirectory, 'document.json'), 'utf8')) as { epoch: number })
    .epoch;

test('with the hub gone the ranks serve on, and a newer control plane takes over without a restart', async (t) => {
  const {
    hub,
    hubUrl,
    newDaemon: daemonOf,
    publish,
    rankIn,
    dataDirectory,
  } = await daemonFixture(t);
  publish([assignment()]);
  await daemonOf().start();
  const { pid } = await rankIn('Ready');
  await hub.close();
  assert.ok(await isAlive(pid!));

  const next = await startHub(t, { epoch: 2, port: Number(new URL(hubUrl).port) });
  next.hub.publish(nodeDocument([assignment()], { epoch: 2 }));
  await eventually('reports to the new one', () => {
    const report = next.hub.latest('mac-1')?.report;
    return report?.observedEpoch === 2 && report.ranks[0]?.pid === pid;
  });
  assert.equal(await keptEpoch(dataDirectory), 2);
});

test('a stale control plane is refused by the node, and told so', async (t) => {
  const {
    hub,
    hubUrl,
    newDaemon: daemonOf,
    publish,
    rankIn,
    dataDirectory,
  } = await daemonFixture(t);
  publish([assignment()]);
  await daemonOf().start();
  const { pid } = await rankIn('Ready');
  await hub.close();

  const port = Number(new URL(hubUrl).port);
  const stale = await startHub(t, { epoch: 0, port });
  stale.hub.publish(createNodeDocument({ nodeName: 'mac-1', epoch: 0, ranks: [] }));
  await eventually('the stale one hears of it', () => stale.stale.includes(1));
  assert.ok(await isAlive(pid!), 'its document is not followed');
  assert.equal(await keptEpoch(dataDirectory), 1);
});

test('a kept document starts nothing while a live control plane has not confirmed it', async (t) => {
  const fixture = await daemonFixture(t);
  fixture.publish([assignment()]);
  const first = fixture.newDaemon();
  await first.start();
  await fixture.rankIn('Ready');
  await first.stop({ ranks: true });
  await fixture.hub.close();

  const port = Number(new URL(fixture.hubUrl).port);
  const next = await startHub(t, { epoch: 2, port, open: false });
  const second = fixture.newDaemon({ resumeAfterMs: 50, pollWaitMs: 1_000 });
  const statesSeen: string[] = [];
  next.hub.onReport(() => {
    for (const { state } of next.hub.latest('mac-1')?.report.ranks ?? []) statesSeen.push(state);
  });
  await second.start();
  // The control plane takes longer to start than a node waits for one that is gone.
  const startedAtMs = performance.now();
  await eventually('well past the wait', () => performance.now() - startedAtMs > 300);
  assert.equal(next.hub.latest('mac-1')?.report.observedVersion, '');
  next.hub.open();
  // Meanwhile the rank has moved to another node: here the new document is empty.
  next.hub.publish(nodeDocument([], { epoch: 2 }));
  await eventually('followed', () => next.hub.latest('mac-1')?.report.observedEpoch === 2);
  await eventually('it is gone', () => next.hub.latest('mac-1')?.report.ranks.length === 0);
  assert.ok(statesSeen.every((state) => state === 'Pending' || state === 'Stopping'));
});

test('without any hub the kept document counts after a while', async (t) => {
  const fixture = await daemonFixture(t);
  fixture.publish([assignment()]);
  const first = fixture.newDaemon();
  await first.start();
  const before = await fixture.rankIn('Ready');
  await first.stop({ ranks: true });
  await fixture.hub.close();
  await fixture.newDaemon({ resumeAfterMs: 100 }).start();
  const logged = await eventually('a rank runs', async () => {
    const file = join(fixture.dataDirectory, 'ranks', 'default_sprout_0_1_0', 'record.json');
    const record = JSON.parse(await readFile(file, 'utf8')) as { process?: { pid: number } };
    return record.process;
  });
  assert.notEqual(logged.pid, before.pid);
  assert.ok(await isAlive(logged.pid));
});

test('a second node of one name is refused and starts nothing', async (t) => {
  const fixture = await daemonFixture(t);
  const other = await daemonFixture(t);
  fixture.publish([assignment()]);
  await fixture.newDaemon().start();
  const ready = await fixture.rankIn('Ready');
  const impostor = newDaemon({ hubUrl: fixture.hubUrl, dataDirectory: other.dataDirectory });
  await impostor.start();
  t.after(async () => impostor.stop({ ranks: true }));
  await eventually(
    'the first still reports',
    () => (fixture.hub.latest('mac-1')?.ageMs ?? 1e9) < 500,
  );
  assert.equal(fixture.rank()?.pid, ready.pid);
  await assert.rejects(readFile(join(other.dataDirectory, 'document.json')));
});

test('a document that cannot be kept is not acted upon, until it can', async (t) => {
  const fixture = await daemonFixture(t);
  fixture.publish([assignment()]);
  await fixture.newDaemon().start();
  const { pid } = await fixture.rankIn('Ready');
  const inTheWay = join(fixture.dataDirectory, 'document.json.tmp');
  await mkdir(inTheWay);
  fixture.publish([]);
  const [problem] = await eventually('the problem is reported', () => fixture.report()?.problems);
  assert.equal(problem?.code, 'DataNotWritable');
  assert.match(problem.message, /document\.json.*running ranks are left alone/);
  assert.ok(await isAlive(pid!));
  await rmdir(inTheWay);
  await eventually('the new document is followed', () => fixture.report()?.ranks.length === 0);
  await eventually('the problem is gone', () => fixture.report()?.problems === undefined);
  assert.equal(await isAlive(pid!), false);
});
