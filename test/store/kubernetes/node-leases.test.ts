import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from '../../support/fast-check.ts';
import { createLogger } from '../../../src/base/logger.ts';
import { EspalierError } from '../../../src/base/errors.ts';
import type { NodeLink, Store } from '../../../src/controller/ports.ts';
import type { ApiClient } from '../../../src/store/kubernetes/client.ts';
import type { Lease } from '../../../src/store/kubernetes/lease.ts';
import { dueRenewals, renewNodeLeases } from '../../../src/store/kubernetes/node-leases.ts';
import { fakeClock } from '../../support/fake-clock.ts';

const beatMs = 10_000;

const node = (name: string) => ({
  apiVersion: 'espalier.dev/v1alpha1',
  kind: 'ClusterNode',
  metadata: { name, uid: `uid-${name}` },
});

/** A fleet whose nodes report until they are silenced, and the Leases that a server would keep. */
const setUp = (names: readonly string[]) => {
  const clock = fakeClock();
  const term = new AbortController();
  const silencedAtMs = new Map<string, number>();
  const leases = new Map<string, Lease>();
  const world = { clock, leases, silencedAtMs, writes: 0, failures: [] as EspalierError[] };
  const client = {
    apply: async (_: unknown, lease: Lease) => {
      const failure = world.failures.shift();
      if (failure) throw failure;
      world.writes += 1;
      leases.set(lease.metadata.name.replace('espalier-node-', ''), lease);
    },
  } as unknown as ApiClient;
  const all = () =>
    names.map((nodeName) => ({
      report: { nodeName },
      ageMs: clock.monotonicMs() - (silencedAtMs.get(nodeName) ?? clock.monotonicMs()),
    }));
  const ended = renewNodeLeases({
    client,
    store: { node, nodes: () => names } as unknown as Store,
    nodeLink: { all } as unknown as NodeLink,
    namespace: 'espalier-system',
    clock,
    logger: createLogger({ name: 'test', level: 'silent' }),
    signal: term.signal,
  });
  const beats = async (count: number) => {
    for (let beat = 0; beat < count; beat += 1) await clock.advance(beatMs);
  };
  const stop = async () => {
    term.abort();
    await ended;
  };
  return { ...world, world, beats, stop };
};

const expiresAtMs = ({ spec }: Lease): number =>
  Date.parse(spec!.renewTime!) + spec!.leaseDurationSeconds! * 1000;

test('two nodes have Leases as kubelets have: renewed every 10 s, for 40 s, owned by the ClusterNode', async () => {
  const { beats, stop, leases, world, clock } = setUp(['a', 'b']);
  await beats(6);
  assert.equal(world.writes, 12);
  for (const name of ['a', 'b']) {
    const { metadata, spec } = leases.get(name)!;
    assert.equal(spec?.holderIdentity, name);
    assert.equal(spec?.leaseDurationSeconds, 40);
    assert.equal(Date.parse(spec.renewTime!), clock.now().getTime());
    assert.deepEqual(metadata.ownerReferences, [
      { apiVersion: 'espalier.dev/v1alpha1', kind: 'ClusterNode', name, uid: `uid-${name}` },
    ]);
  }
  await stop();
});

test('a node that falls silent has an expired Lease within a minute, however large the fleet', async () => {
  const names = Array.from({ length: 40 }, (_, index) => `n${index}`);
  const { beats, stop, leases, silencedAtMs, clock } = setUp(names);
  await beats(25);
  assert.ok(expiresAtMs(leases.get('n7')!) > clock.now().getTime() + 5 * 60_000);
  silencedAtMs.set('n7', clock.monotonicMs());
  await beats(5);
  assert.ok(expiresAtMs(leases.get('n7')!) <= clock.now().getTime());
  silencedAtMs.delete('n7');
  await beats(1);
  assert.ok(expiresAtMs(leases.get('n7')!) > clock.now().getTime(), 'it reports again');
  await stop();
});

test('a write that fails is tried again at the next beat', async () => {
  const { beats, stop, leases, world } = setUp(['a']);
  world.failures.push(new EspalierError('ApiForbidden', 'no'));
  await beats(1);
  assert.equal(leases.size, 0);
  await beats(1);
  assert.equal(leases.size, 1);
  await stop();
});

test('a fleet of any size is 12 renewals a minute, and no Lease of a node that reports ever expires', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), (size) => {
      const names = Array.from({ length: size }, (_, index) => `n${index}`);
      const shown = new Map<string, { isHeld: boolean; atMs: number }>();
      const expiry = new Map<string, number>();
      for (let atMs = 0; atMs < 3 * size * beatMs; atMs += beatMs) {
        // They dial in one after the other.
        const heartbeats = names
          .slice(0, 1 + atMs / 1000)
          .map((nodeName, index) => ({ nodeName, ageMs: (index * 97) % beatMs }));
        const due = dueRenewals(heartbeats, shown, size);
        assert.ok(due.length <= 2);
        for (const { nodeName, ageMs, durationSeconds } of due) {
          shown.set(nodeName, { isHeld: true, atMs });
          expiry.set(nodeName, atMs - ageMs + durationSeconds * 1000);
        }
        for (const [name, expiresMs] of expiry) assert.ok(expiresMs > atMs, `${name} expired`);
      }
      assert.equal(expiry.size, size);
    }),
    { numRuns: 30 },
  );
});
