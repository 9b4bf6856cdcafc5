import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from '../../support/fast-check.ts';
import { ObjectCache } from '../../../src/store/kubernetes/object-cache.ts';
import type { ApiObject } from '../../../src/store/kubernetes/objects.ts';

interface Item extends ApiObject {
  spec: number;
  status?: number;
}

interface Event {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  object: Item;
}

const names = ['a', 'b', 'c', 'd'];

const item = (name: string, version: number, uid: string, spec: number): Item => ({
  apiVersion: 'v1',
  kind: 'Item',
  metadata: {
    name,
    uid,
    resourceVersion: `${version}`,
    creationTimestamp: '2026-11-23T00:00:00Z',
  },
  spec,
});

/** A server's history: states by version, and the events that lead from one to the next. */
const historyOf = (steps: readonly { name: string; isRemoved: boolean }[]): Event[] => {
  const alive = new Map<string, string>();
  return steps.flatMap(({ name, isRemoved }, index): Event[] => {
    const version = 10 + index;
    const uid = alive.get(name);
    if (isRemoved) {
      if (uid === undefined) return [];
      alive.delete(name);
      return [{ type: 'DELETED', object: item(name, version, uid, index) }];
    }
    alive.set(name, uid ?? `${name}-${version}`);
    const type = uid === undefined ? 'ADDED' : 'MODIFIED';
    return [{ type, object: item(name, version, alive.get(name)!, index) }];
  });
};

const stateAfter = (events: readonly Event[]): Map<string, Item> => {
  const state = new Map<string, Item>();
  for (const { type, object } of events) {
    if (type === 'DELETED') state.delete(object.metadata.name);
    else state.set(object.metadata.name, object);
  }
  return state;
};

const textOf = (items: Iterable<Item>): string[] =>
  [...items].map(({ metadata, spec }) => `${metadata.name} ${metadata.uid} ${spec}`).toSorted();

const anyHistory = fc
  .array(fc.record({ name: fc.constantFrom(...names), isRemoved: fc.boolean() }), { maxLength: 30 })
  .map(historyOf);

test('events that come twice and in any order end in the state of the server', () => {
  const delivery = anyHistory.chain((events) =>
    fc.record({
      events: fc.constant(events),
      // Every event at least once, in any order, and any of them again.
      delivered: fc.tuple(
        fc.shuffledSubarray(events, { minLength: events.length }),
        fc.shuffledSubarray(events),
      ),
    }),
  );
  fc.assert(
    fc.property(delivery, ({ events, delivered }) => {
      const cache = new ObjectCache<Item>();
      for (const { type, object } of delivered.flat()) cache.apply(type, structuredClone(object));
      assert.deepEqual(textOf(cache.list()), textOf(stateAfter(events).values()));
    }),
    { numRuns: 1000 },
  );
});

test('a list at any time, among late events from before it, ends in the state of the server', () => {
  const run = anyHistory.chain((events) =>
    fc.record({
      events: fc.constant(events),
      seen: fc.shuffledSubarray(events),
      listedAt: fc.integer({ min: 0, max: events.length }),
      late: fc.shuffledSubarray(events),
    }),
  );
  fc.assert(
    fc.property(run, ({ events, seen, listedAt, late }) => {
      const cache = new ObjectCache<Item>();
      const before = events.slice(0, listedAt);
      const after = events.slice(listedAt);
      for (const { type, object } of seen.filter((event) => before.includes(event))) {
        cache.apply(type, structuredClone(object));
      }
      const version = before.at(-1)?.object.metadata.resourceVersion ?? '9';
      cache.beginReplacing();
      cache.replace(structuredClone([...stateAfter(before).values()]), version);
      for (const { type, object } of [...late, ...after, ...late]) {
        cache.apply(type, structuredClone(object));
      }
      assert.deepEqual(textOf(cache.list()), textOf(stateAfter(events).values()));
    }),
    { numRuns: 1000 },
  );
});

test('what is told, replayed, gives the cache: no change of intent goes unheard', () => {
  const run = anyHistory.chain((events) =>
    fc.record({
      events: fc.constant(events),
      absorbed: fc.shuffledSubarray(events.filter(({ type }) => type !== 'DELETED')),
      listedAt: fc.integer({ min: 0, max: events.length }),
    }),
  );
  fc.assert(
    fc.property(run, ({ events, absorbed, listedAt }) => {
      const cache = new ObjectCache<Item>();
      const heard = new Map<string, Item>();
      const hear = (change: ReturnType<typeof cache.apply>) => {
        if (change?.after) heard.set(change.key, change.after);
        else if (change) heard.delete(change.key);
      };
      for (const [index, { type, object }] of events.entries()) {
        if (index === listedAt) {
          const before = events.slice(0, index);
          const version = before.at(-1)?.object.metadata.resourceVersion ?? '9';
          cache.beginReplacing();
          for (const change of cache.replace(
            structuredClone([...stateAfter(before).values()]),
            version,
          )) {
            hear(change);
          }
        }
        // The answer to an own write comes before its event; it may carry what others wrote.
        const own = absorbed.find((candidate) => candidate === events[index]);
        if (own) hear(cache.absorb(structuredClone(own.object)));
        hear(cache.apply(type, structuredClone(object)));
      }
      assert.deepEqual(textOf(heard.values()), textOf(cache.list()));
      assert.deepEqual(textOf(cache.list()), textOf(stateAfter(events).values()));
    }),
    { numRuns: 1000 },
  );
});

test('a write that was answered while a list was under way is not undone by the list', () => {
  const cache = new ObjectCache<Item>();
  cache.replace([item('a', 10, 'u', 1)], '10');
  cache.beginReplacing();
  cache.absorb(item('a', 12, 'u', 2));
  cache.replace([item('a', 10, 'u', 1)], '11');
  assert.equal(cache.get('a')!.spec, 2);
  const deleted = item('a', 13, 'u', 2);
  deleted.metadata.deletionTimestamp = '2026-11-23T00:00:00Z';
  cache.beginReplacing();
  cache.absorb(deleted);
  cache.replace([item('a', 12, 'u', 2)], '12');
  assert.equal(cache.get('a'), undefined, 'its last finalizer is gone, and so is it');
});

test('a list from a restored backup replaces what is newer', () => {
  const cache = new ObjectCache<Item>();
  cache.replace([item('a', 1000, 'u', 2), item('b', 900, 'v', 1)], '1000');
  cache.beginReplacing();
  const changes = cache.replace([item('a', 500, 'u', 1)], '600');
  assert.equal(cache.get('a')!.spec, 1);
  assert.deepEqual(changes.map(({ key }) => key).toSorted(), ['a', 'b']);
  assert.ok(cache.apply('MODIFIED', item('a', 601, 'u', 3)));
});

test('the answer to a status write alone is no news', () => {
  const cache = new ObjectCache<Item>();
  cache.replace([item('a', 10, 'u', 1)], '10');
  assert.equal(cache.absorb({ ...item('a', 11, 'u', 1), status: 5 }), undefined);
  assert.equal(cache.get('a')!.status, 5);
});
