import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createLogger } from '../../src/base/logger.ts';
import { createMetrics } from '../../src/base/metrics.ts';
import { createHub } from '../../src/hub/hub.ts';
import { claimLapsesAfterMs } from '../../src/hub/node-table.ts';
import type { NodeDocument, NodeReport } from '../../src/nodedoc/types.ts';
import { eventually } from '../support/eventually.ts';
import { assignment, nodeDocument, nodeReport } from '../support/node-documents.ts';
import { offsetClock } from '../support/offset-clock.ts';

const setUp = async (context: TestContext, { epoch = 7, open = true } = {}) => {
  const clock = offsetClock();
  const stale: number[] = [];
  const hub = createHub({
    logger: createLogger({ name: 'test', level: 'silent' }),
    clock,
    host: '127.0.0.1',
    port: 0,
    epoch,
    onStale: (_node, observedEpoch) => stale.push(observedEpoch),
  });
  const url = await hub.listen();
  context.after(async () => hub.close());
  if (open) hub.open();
  const post = async (report: NodeReport, address = report.nodeName) =>
    fetch(`${url}/v1/nodes/${address}/report`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(report),
    });
  const poll = async (version = '', waitSeconds = 0, instance = 'instance-1', knownEpoch = epoch) =>
    fetch(`${url}/v1/nodes/mac-1/document`, {
      headers: {
        'espalier-instance': instance,
        'espalier-epoch': String(knownEpoch),
        'if-none-match': `"${version}"`,
        prefer: `wait=${waitSeconds}`,
      },
    });
  return { hub, url, clock, stale, post, poll };
};

const problemOf = async (response: Response) =>
  (await response.json()) as { code: string; message: string; epoch: number };

test('a report is answered with the epoch and seen by the controller with its age', async (t) => {
  const { hub, clock, post } = await setUp(t);
  const seen: string[] = [];
  hub.onReport((name) => seen.push(name));
  const response = await post(nodeReport());
  assert.deepEqual(await response.json(), { epoch: 7 });
  clock.advance(40_000);
  assert.deepEqual(hub.latest('mac-1')?.report, nodeReport());
  assert.ok((hub.latest('mac-1')?.ageMs ?? 0) >= 40_000);
  assert.equal(hub.all().length, 1);
  await post(nodeReport());
  assert.deepEqual(seen, ['mac-1'], 'an equal report is no news');
  await post(nodeReport({ observedVersion: 'x' }));
  assert.deepEqual(seen, ['mac-1', 'mac-1']);
});

test('the last reports of all nodes can be read, for people', async (t) => {
  const { url, post } = await setUp(t);
  await post(nodeReport());
  const { nodes } = (await (await fetch(`${url}/v1/nodes`)).json()) as {
    nodes: { report: NodeReport; ageMs: number }[];
  };
  assert.deepEqual(
    nodes.map(({ report }) => report),
    [nodeReport()],
  );
});

test('bad reports are refused and named, and change nothing', async (t) => {
  const { hub, url, post } = await setUp(t);
  const wrong = await post({ ...nodeReport(), colour: 'red' } as NodeReport);
  assert.equal(wrong.status, 400);
  assert.match((await problemOf(wrong)).message, /colour/);
  assert.equal((await post(nodeReport(), 'mac-2')).status, 400);
  const send = async (body: string) =>
    fetch(`${url}/v1/nodes/mac-1/report`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
  assert.equal((await send('{"nodeName":')).status, 400);
  const large = await send(JSON.stringify({ padding: 'x'.repeat(2 << 20) }));
  assert.equal(large.status, 413);
  assert.equal(hub.latest('mac-1'), undefined);
});

test('no document is served before open, and only to a daemon that has reported', async (t) => {
  const { hub, post, poll } = await setUp(t, { open: false });
  hub.publish(nodeDocument([assignment()]));
  await post(nodeReport());
  const early = await poll();
  assert.equal(early.status, 503);
  assert.equal(early.headers.get('retry-after'), '1');
  const { version } = nodeDocument([assignment()]);
  const held = poll(version, 20);
  await poll();
  hub.open();
  assert.equal((await held).status, 304, 'answered at the opening, though it is no news');
  const document = (await (await poll()).json()) as NodeDocument;
  assert.equal(document.ranks[0]?.id, 'default/sprout/0/1/0');
  assert.equal((await poll('', 0, 'instance-2')).status, 409);
});

test('a node without a report is asked for one, a node without a ClusterNode is told so', async (t) => {
  const { post, poll } = await setUp(t);
  assert.equal((await poll()).status, 428);
  await post(nodeReport());
  const undeclared = await poll();
  assert.equal(undeclared.status, 404);
  const { code, message } = await problemOf(undeclared);
  assert.equal(code, 'NodeNotDeclared');
  assert.match(message, /kind ClusterNode, metadata\.name mac-1/);
});

test('a poll waits for news, says 304 at its end, and carries the epoch of the hub', async (t) => {
  const { hub, post, poll } = await setUp(t);
  await post(nodeReport());
  const first = nodeDocument([], { epoch: 3 });
  const pending = poll('', 20);
  hub.publish(first);
  const answer = await pending;
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('etag'), `"${first.version}"`);
  assert.equal(((await answer.json()) as NodeDocument).epoch, 7);

  const unchanged = await poll(first.version, 0);
  assert.equal(unchanged.status, 304);
  assert.equal(unchanged.headers.get('espalier-epoch'), '7');
  assert.equal((await poll(first.version, 1)).status, 304);

  const ofOlderEpoch = await poll(first.version, 20, 'instance-1', 6);
  assert.equal(ofOlderEpoch.status, 304, 'a new epoch is news');

  const next = poll(first.version, 20);
  hub.publish(nodeDocument([], { epoch: 4 }));
  hub.publish(nodeDocument([assignment()]));
  assert.equal(((await (await next).json()) as NodeDocument).ranks.length, 1);
});

test('a retracted node is told to run nothing', async (t) => {
  const { hub, post, poll } = await setUp(t);
  await post(nodeReport());
  hub.publish(nodeDocument([assignment()]));
  hub.retract('mac-1');
  hub.retract('never-heard-of');
  assert.deepEqual(((await (await poll()).json()) as NodeDocument).ranks, []);
});

test('closing ends pending polls at once', async (t) => {
  const { hub, post, poll } = await setUp(t);
  await post(nodeReport());
  hub.publish(nodeDocument([]));
  const pending = poll(nodeDocument([]).version, 30).then(
    (response) => response.status,
    () => 'connection ended',
  );
  await eventually('the poll is held', async () => (await poll('', 0)).status === 200);
  await hub.close();
  assert.ok([503, 'connection ended'].includes(await pending));
});

test('a node that has seen a newer control plane stops this one', async (t) => {
  const { stale, post, hub } = await setUp(t);
  const response = await post(nodeReport({ observedEpoch: 8 }));
  assert.equal(response.status, 409);
  assert.equal((await problemOf(response)).code, 'EpochFenced');
  assert.deepEqual(stale, [8]);
  assert.equal(hub.latest('mac-1'), undefined);
});

test('a second daemon of one name is refused until the first has been silent', async (t) => {
  const { clock, post, poll, hub } = await setUp(t);
  await post(nodeReport());
  const impostor = nodeReport({ instanceID: 'instance-2' });
  const refused = await post(impostor);
  assert.equal(refused.status, 409);
  const { code, message } = await problemOf(refused);
  assert.equal(code, 'DuplicateNode');
  assert.match(message, /instance-1.*instance-2/);
  const copiedDisk = nodeReport({ host: { ...nodeReport().host, hostID: 'host-2' } });
  assert.equal((await post(copiedDisk)).status, 409);
  assert.equal((await post(nodeReport({ bootId: 'boot-2' }))).status, 200, 'a restart is adopted');

  clock.advance(claimLapsesAfterMs);
  assert.equal((await poll()).status, 428, 'a lapsed claim needs a report');
  assert.equal((await post(impostor)).status, 200);
  assert.equal(hub.latest('mac-1')?.report.instanceID, 'instance-2');
  assert.equal((await poll()).status, 409);
});

test('a request under a foreign host name is refused', async (t) => {
  const { url } = await setUp(t);
  const { port } = new URL(url);
  const { request } = await import('node:http');
  const status = await new Promise((resolve, reject) => {
    request({
      port,
      host: '127.0.0.1',
      path: '/v1/nodes/mac-1/document',
      headers: { host: 'evil.example' },
    })
      .on('response', (response) => resolve(response.resume().statusCode))
      .on('error', reject)
      .end();
  });
  assert.equal(status, 403);
});

test('the hub listens on loopback only, and names a port that is taken', async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.after(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  const hubOn = (host: string) =>
    createHub({
      logger: createLogger({ name: 'test', level: 'silent' }),
      clock: offsetClock(),
      host,
      port,
      epoch: 1,
      onStale: () => {},
    });
  for (const host of ['0.0.0.0', '192.168.1.2', 'example.com', '::', '127.evil.example']) {
    await assert.rejects(hubOn(host).listen(), {
      code: 'HubNotLoopback',
      message: /node identity does not exist yet/,
    });
  }
  await assert.rejects(hubOn('127.0.0.1').listen(), {
    code: 'AddressInUse',
    message: new RegExp(`127\\.0\\.0\\.1:${port} is taken`),
  });
});

test('documents, reports and refusals are counted; no group secret gets into a log line or a metric', async (t) => {
  const lines: string[] = [];
  const metrics = createMetrics();
  const hub = createHub({
    logger: createLogger({
      name: 'test',
      level: 'trace',
      destination: { write: (line) => lines.push(line) },
    }),
    metrics,
    clock: offsetClock(),
    host: '127.0.0.1',
    port: 0,
    epoch: 1,
    onStale: () => {},
  });
  const url = await hub.listen();
  t.after(async () => hub.close());
  hub.publish(nodeDocument([assignment({ rendezvous: { address: null, secret: 'TOP-SECRET' } })]));
  hub.open();
  const report = async (body: object) =>
    fetch(`${url}/v1/nodes/mac-1/report`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  await report(nodeReport());
  await report(nodeReport());
  await report({ secret: 'TOP-SECRET' });
  const headers = { 'espalier-instance': 'instance-1' };
  const response = await fetch(`${url}/v1/nodes/mac-1/document`, { headers });
  assert.match(await response.text(), /TOP-SECRET/);
  const text = await metrics.text();
  assert.match(text, /^espalier_hub_documents_total 1$/m);
  assert.match(text, /^espalier_hub_reports_total\{changed="true"\} 1$/m);
  assert.match(text, /^espalier_hub_reports_total\{changed="false"\} 1$/m);
  assert.match(text, /^espalier_hub_refusals_total\{code="InvalidReport"\} 1$/m);
  assert.match(text, /^espalier_hub_polls 0$/m);
  assert.ok(lines.length > 0);
  assert.doesNotMatch(lines.join('') + text, /TOP-SECRET/);
});
