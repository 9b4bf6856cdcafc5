import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '../../../src/base/logger.ts';
import { EspalierError } from '../../../src/base/errors.ts';
import { seededRandom } from '../../../src/base/random.ts';
import { createApiClient } from '../../../src/store/kubernetes/client.ts';
import { createReflector } from '../../../src/store/kubernetes/reflector.ts';
import type { ObjectChange } from '../../../src/store/kubernetes/object-cache.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { CollectionServer, widgets } from './collection-server.ts';
import type { StoredItem } from './collection-server.ts';

const setUp = () => {
  const server = new CollectionServer();
  const clock = fakeClock();
  const random = seededRandom(1);
  const changes: { key: string; change: ObjectChange<StoredItem> }[] = [];
  const listener = { fails: false };
  const reflector = createReflector<StoredItem>({
    client: createApiClient({ transport: server.transport, clock, random }),
    resource: widgets,
    clock,
    random,
    logger: createLogger({ name: 'test', level: 'silent' }),
    onChange: (key, change) => {
      changes.push({ key, change });
      if (listener.fails) throw new Error('listener');
    },
  });
  const values = () => valuesOf(reflector.list());
  const truth = () => valuesOf(server.items());
  /** Lets what was set off come to rest first: its timers run from now. */
  const pass = async (ms: number) => {
    await clock.settle();
    await clock.advance(ms);
  };
  /** Starts, whatever goes wrong at first. */
  const started = async () => {
    const promise = reflector.start();
    await pass(10_000);
    await promise;
  };
  return { server, clock, reflector, changes, listener, values, truth, started, pass };
};

const valuesOf = (items: readonly StoredItem[]): Record<string, number> =>
  Object.fromEntries(items.map(({ metadata, spec }) => [metadata.name, spec.value]));

test('start resolves with everything read, and changes follow', async () => {
  const { server, clock, reflector, changes, values, started } = setUp();
  server.put('a', 1);
  server.put('b', 2);
  await started();
  assert.deepEqual(values(), { a: 1, b: 2 });
  server.put('a', 3);
  server.remove('b');
  await clock.settle();
  assert.deepEqual(values(), { a: 3 });
  assert.deepEqual(
    changes.map(({ key, change }) => [key, change.before?.spec.value, change.after?.spec.value]),
    [
      ['default/a', undefined, 1],
      ['default/b', undefined, 2],
      ['default/a', 1, 3],
      ['default/b', 2, undefined],
    ],
  );
  await reflector.stop();
  assert.equal(server.openWatches(), 0);
  assert.equal(reflector.status().state, 'stopped');
});

test('objects are frozen to the bottom and carry no managedFields', async () => {
  const { server, reflector, started } = setUp();
  server.put('a', 1);
  await started();
  const object = reflector.get('default/a')!;
  assert.ok(Object.isFrozen(object.spec));
  assert.ok(Object.isFrozen(object.metadata));
  assert.ok(!('managedFields' in object.metadata));
  await reflector.stop();
});

test('a server that does not stream lists is asked for pages', async () => {
  const { server, reflector, values, truth, started } = setUp();
  server.streamedLists = 'refuses';
  for (let index = 0; index < 1234; index += 1) server.put(`w${index}`, index);
  await started();
  assert.deepEqual(values(), truth());
  const pages = server.requests.filter((url) => url.searchParams.has('limit'));
  assert.deepEqual(
    pages.map((url) => url.searchParams.get('continue')),
    [null, '1334:500', '1334:1000'],
  );
  await reflector.stop();
});

test('429 on the first list, after which the library stays silent for ever, is waited out', async () => {
  const { server, pass, reflector, values } = setUp();
  server.put('a', 1);
  server.faults.push({ status: 429, headers: { 'retry-after': '7' } });
  const started = reflector.start();
  await pass(7000);
  assert.equal(reflector.status().state, 'waiting');
  assert.match(reflector.status().lastError!, /429/);
  await pass(3000);
  await started;
  assert.deepEqual(values(), { a: 1 });
  await reflector.stop();
});

test('a connection that breaks, as at kill -9 of the server, is opened anew from where it stood', async () => {
  const { server, pass, reflector, values, started } = setUp();
  server.put('a', 1);
  server.faults.push({ on: 'watch', lines: (lines) => ({ lines, cut: true }) });
  server.faults.push({ on: 'watch', error: new EspalierError('ApiUnreachable', 'refused') });
  server.faults.push({ on: 'watch', error: new EspalierError('ApiUnreachable', 'refused') });
  await started();
  server.put('a', 2);
  await pass(10_000);
  assert.deepEqual(values(), { a: 2 });
  assert.equal(reflector.status().lists, 1);
  assert.equal(server.requests.at(-1)!.searchParams.get('resourceVersion'), '101');
  await reflector.stop();
});

test('a clean close is no failure: the watch goes on from the last version at once', async () => {
  const { server, clock, pass, reflector, values, started } = setUp();
  await started();
  server.put('a', 1);
  await pass(2000);
  server.endWatches();
  await clock.settle();
  server.put('b', 2);
  await clock.settle();
  assert.deepEqual(values(), { a: 1, b: 2 });
  assert.equal(reflector.status().lists, 1);
  assert.equal(reflector.status().state, 'watching');
  await reflector.stop();
});

test('410 leads to a new list, and what vanished meanwhile is told', async () => {
  const { server, clock, pass, reflector, changes, values, started } = setUp();
  server.put('gone', 1);
  server.put('kept', 1);
  server.put('renewed', 1);
  await started();
  changes.length = 0;
  server.faults.push({ on: 'watch', status: 503 });
  server.endWatches();
  await clock.settle();
  server.remove('gone');
  server.remove('renewed');
  server.put('renewed', 1);
  server.compact();
  await pass(60_000);
  assert.deepEqual(values(), { kept: 1, renewed: 1 });
  assert.deepEqual(changes.map(({ key }) => key).toSorted(), ['default/gone', 'default/renewed']);
  const renewed = changes.find(({ key }) => key === 'default/renewed')!.change;
  assert.notEqual(renewed.before?.metadata.uid, renewed.after?.metadata.uid);
  await reflector.stop();
});

test('410 as an answer, and as an event inside the stream, are the same', async () => {
  for (const fault of [
    { on: 'watch' as const, status: 410 },
    {
      on: 'watch' as const,
      lines: () => ({
        lines: ['{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}'],
      }),
    },
  ]) {
    const { server, clock, pass, reflector, started } = setUp();
    await started();
    server.faults.push(fault);
    server.endWatches();
    await clock.settle();
    server.put('a', 1);
    await pass(60_000);
    assert.equal(reflector.status().lists, 2);
    assert.ok(reflector.get('default/a'));
    await reflector.stop();
  }
});

test('a stream that falls silent is opened anew', async () => {
  const { server, clock, pass, reflector, values, started } = setUp();
  await started();
  server.faults.push({ on: 'watch', isSilent: true });
  server.endWatches();
  await clock.settle();
  server.put('a', 1);
  await pass(89_000);
  assert.deepEqual(values(), {});
  await pass(3000);
  assert.deepEqual(values(), { a: 1 });
  await reflector.stop();
});

test('bookmarks keep a quiet stream open and move it on past compaction', async () => {
  const { server, clock, pass, reflector, started } = setUp();
  await started();
  const { watches } = reflector.status();
  for (let minute = 0; minute < 5; minute += 1) {
    await pass(60_000);
    server.writeElsewhere();
    server.bookmark();
    await clock.settle();
  }
  assert.equal(reflector.status().watches, watches);
  server.compact();
  server.endWatches();
  await pass(60_000);
  assert.equal(reflector.status().lists, 1);
  await reflector.stop();
});

test('a line that is no JSON, again and again, ends in a new list and not in a loop', async () => {
  const { server, clock, pass, reflector, values, started } = setUp();
  await started();
  const broken = {
    on: 'watch' as const,
    lines: () => ({ lines: ['{"type":"MODIFIED","object":'] }),
  };
  server.faults.push(broken, broken, broken);
  server.endWatches();
  await clock.settle();
  server.put('a', 1);
  await pass(60_000);
  assert.deepEqual(values(), { a: 1 });
  assert.equal(reflector.status().lists, 2);
  await reflector.stop();
});

test('a server that ignores the request to stream a list is asked for pages after a minute', async () => {
  const { server, pass, reflector, values } = setUp();
  server.streamedLists = 'ignores';
  server.put('a', 1);
  const started = reflector.start();
  await pass(59_000);
  assert.equal(reflector.status().isSynced, false);
  await pass(5000);
  await started;
  assert.deepEqual(values(), { a: 1 });
  server.faults.push({ on: 'watch', status: 410 });
  server.endWatches();
  await pass(5000);
  assert.equal(reflector.status().lists, 2, 'and not asked to stream again');
  await reflector.stop();
});

test('a server that went back in time, as after a restored backup, is listed anew', async () => {
  const { server, pass, reflector, started } = setUp();
  server.put('a', 1);
  await started();
  const past = '{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}';
  server.faults.push({ on: 'watch', lines: () => ({ lines: [past] }) });
  server.endWatches();
  await pass(0);
  server.bookmark();
  await pass(5000);
  assert.equal(reflector.status().lists, 2);
  await reflector.stop();
});

test('a stream in which events were swapped is not resumed where it seemed to stand', async () => {
  const { server, pass, reflector, values, started } = setUp();
  await started();
  server.faults.push({ on: 'watch', lines: (lines) => ({ lines: lines.toReversed() }) });
  server.endWatches();
  server.put('a', 1);
  server.put('b', 1);
  await pass(1000);
  assert.deepEqual(values(), { a: 1, b: 1 });
  server.endWatches();
  await pass(5000);
  assert.equal(reflector.status().lists, 2);
  await reflector.stop();
});

test('everything is read anew every half hour, when a watch ends anyway', async () => {
  const { server, clock, pass, reflector, started } = setUp();
  await started();
  for (let minute = 0; minute < 31; minute += 1) {
    await pass(60_000);
    server.bookmark();
    await clock.settle();
  }
  assert.equal(reflector.status().lists, 1);
  server.endWatches();
  await pass(1000);
  assert.equal(reflector.status().lists, 2);
  await reflector.stop();
});

test('a listener that throws ends nothing', async () => {
  const { server, clock, reflector, listener, values, started } = setUp();
  listener.fails = true;
  server.put('a', 1);
  await started();
  server.put('b', 2);
  await clock.settle();
  assert.deepEqual(values(), { a: 1, b: 2 });
  await reflector.stop();
});

test('an unreachable server is tried again with pauses that grow to 30 s', async () => {
  const { server, pass, reflector } = setUp();
  for (let index = 0; index < 100; index += 1) {
    server.faults.push({ error: new EspalierError('ApiUnreachable', 'refused') });
  }
  const started = reflector.start({ deadlineMs: 120_000 });
  const refused = assert.rejects(started, /sent nothing about widgets within 120 s; last: refused/);
  await pass(600_000);
  await refused;
  assert.ok(
    server.requests.length > 20 && server.requests.length < 50,
    `${server.requests.length}`,
  );
  server.faults.length = 0;
  await pass(30_000);
  assert.equal(reflector.status().isSynced, true);
  await reflector.stop();
});

test('an own write is read back at once, and its event is no news', async () => {
  const { server, clock, reflector, changes, started } = setUp();
  server.put('a', 1);
  await started();
  changes.length = 0;
  const written = server.put('a', 2);
  reflector.absorb(written);
  assert.equal(reflector.get('default/a')!.spec.value, 2);
  assert.equal(changes.length, 1, 'the spec differs');
  await clock.settle();
  assert.equal(changes.length, 1);
  await reflector.stop();
});

test('a late answer to an own write does not undo what came since', async () => {
  const { server, clock, reflector, started } = setUp();
  const first = server.put('a', 1);
  await started();
  const second = server.put('a', 2);
  server.put('a', 3);
  await clock.settle();
  reflector.absorb(second);
  reflector.absorb(first);
  assert.equal(reflector.get('default/a')!.spec.value, 3);
  server.remove('a');
  await clock.settle();
  reflector.absorb(second);
  assert.equal(reflector.get('default/a'), undefined);
  await reflector.stop();
});

test('a listener hears of a change that came mixed into the answer to an own status write', async () => {
  const { server, clock, reflector, changes, started } = setUp();
  server.put('a', 1);
  await started();
  changes.length = 0;
  server.put('a', 2);
  const answer = { ...server.put('a', 2), status: { observed: true } };
  reflector.absorb(answer);
  assert.deepEqual(
    changes.map(({ change }) => [change.before?.spec.value, change.after?.spec.value]),
    [[1, 2]],
  );
  await clock.settle();
  assert.equal(changes.length, 1);
  await reflector.stop();
});
