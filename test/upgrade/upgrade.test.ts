import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { parse } from 'yaml';
import { maskedDocument } from './recording.ts';
import type { Recording } from './recording.ts';
import type { World } from '../sim/world.ts';
import { standStill, worldOf } from './stand-still.ts';

const folder = fileURLToPath(new URL('../fixtures/upgrade/', import.meta.url));
const files = globSync(`${folder}**/*.yaml`).toSorted();

/** Longer than it takes until the Lease of the old one has run out and the new one has looked at everything. */
const takeoverSeconds = 40;
/** Shorter than any deadline in a scene, long enough for whoever wants to write. */
const stillSeconds = 5;

type Statuses = Record<string, unknown>;

const statuses = ({ server }: World): Statuses =>
  Object.fromEntries(
    ['espalier.dev/modeldeployments', 'espalier.dev/clusternodes']
      .flatMap((collection) => server.objects(collection))
      .map(({ kind, metadata, status }) => [`${kind} ${metadata.name}`, status]),
  );

const withoutMessages = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (name, field: unknown) => (name === 'message' ? '' : field)));

/** Those that say the same in other words, which is all that a new operator may change. */
const reworded = (before: Statuses, after: Statuses): string[] => {
  assert.deepEqual(Object.keys(after), Object.keys(before));
  return Object.keys(before).filter((name) => {
    assert.deepEqual(withoutMessages(after[name]), withoutMessages(before[name]), name);
    return !isDeepStrictEqual(after[name], before[name]);
  });
};

const assertSameDocuments = (recording: Recording, world: World): void => {
  const documents = world.fleet.documents().map(maskedDocument);
  for (const { name, document } of recording.nodes) {
    if (!document) continue;
    const is = documents.find(({ nodeName }) => nodeName === name);
    assert.deepEqual(is, { ...document, epoch: 0 }, `the document of node ${name}`);
  }
};

for (const file of files) {
  test(`a new operator changes nothing: ${relative(folder, file)}`, async (t) => {
    const recording = parse(readFileSync(file, 'utf8')) as Recording;
    const world = worldOf(recording);
    const before = statuses(world);
    await world.runUntil('an operator leads', () => world.leader() !== undefined, takeoverSeconds);
    await standStill(world, stillSeconds);
    assertSameDocuments(recording, world);
    const others = reworded(before, statuses(world));
    const writes = new Map(world.server.writes);
    writes.delete('coordination.k8s.io/leases');
    if (others.length > 0) {
      t.diagnostic(`in other words than when it was recorded: ${others.join(', ')}`);
      writes.delete('events.k8s.io/events');
    }
    const count = [...writes.values()].reduce((sum, each) => sum + each, 0);
    assert.equal(count, others.length, JSON.stringify([...writes]));
  });
}

test('there are recordings', () => {
  assert.ok(files.length > 10, `only ${files.length} recordings`);
});
