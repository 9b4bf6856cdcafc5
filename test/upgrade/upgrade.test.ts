import assert from 'node:assert/strict';
import { test } from 'node:test';
import { standStill, worldOf } from './stand-still.ts';
import { assertSameDocuments, recordings, reworded, statusesOf } from './unchanged.ts';
import type { Statuses } from './unchanged.ts';
import type { World } from '../sim/world.ts';

/** Longer than it takes until the Lease of the old one has run out and the new one has looked at everything. */
const takeoverSeconds = 40;
/** Shorter than any deadline in a scene, long enough for whoever wants to write. */
const stillSeconds = 5;

const statuses = ({ server }: World): Statuses =>
  statusesOf([
    ...server.objects('espalier.dev/modeldeployments'),
    ...server.objects('espalier.dev/clusternodes'),
  ]);

for (const [name, recording] of recordings()) {
  test(`a new operator changes nothing: ${name}`, async (t) => {
    const world = worldOf(recording);
    const before = statuses(world);
    await world.runUntil('an operator leads', () => world.leader() !== undefined, takeoverSeconds);
    await standStill(world, stillSeconds);
    assertSameDocuments(recording, world.fleet.documents());
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
  assert.ok(recordings().size > 10);
});
