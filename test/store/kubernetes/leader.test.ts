import assert from 'node:assert/strict';
import { test } from 'node:test';
import { delay } from '../../../src/base/clock.ts';
import { EspalierError } from '../../../src/base/errors.ts';
import { createLogger } from '../../../src/base/logger.ts';
import { seededRandom } from '../../../src/base/random.ts';
import type { ApiClient } from '../../../src/store/kubernetes/client.ts';
import { becomeLeader } from '../../../src/store/kubernetes/leader.ts';
import type { Leadership } from '../../../src/store/kubernetes/leader.ts';
import type { Lease } from '../../../src/store/kubernetes/lease.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import type { FakeClock } from '../../support/fake-clock.ts';

/** The one Lease, as an API server keeps it: every write compares and swaps. */
class LeaseServer {
  lease: Lease | undefined;
  #version = 1;

  write(change: { metadata?: object; spec?: object }, expected: string | undefined): Lease {
    if (this.lease?.metadata.resourceVersion !== expected) {
      throw new EspalierError(expected ? 'ObjectChanged' : 'ObjectConflict', 'somebody was faster');
    }
    this.#version += 1;
    this.lease = structuredClone({
      ...this.lease,
      ...change,
      spec: { ...this.lease?.spec, ...change.spec },
      metadata: {
        ...this.lease?.metadata,
        ...change.metadata,
        resourceVersion: `${this.#version}`,
      },
    }) as Lease;
    return structuredClone(this.lease);
  }
}

interface Network {
  latencyMs: number;
  /** Of each request: before the server has seen it, or after. */
  fails: () => 'before' | 'after' | undefined;
  hangs: boolean;
  /** What the API server answers to everything. */
  refusal?: EspalierError | undefined;
}

const perfect = (): Network => ({ latencyMs: 0, fails: () => undefined, hangs: false });

const clientOf = (server: LeaseServer, clock: FakeClock, network: Network): ApiClient => {
  const unreachable = new EspalierError('ApiUnreachable', 'broken');
  const call = async <T>(act: () => T, signal: AbortSignal | undefined): Promise<T> => {
    const failure = network.fails();
    if (network.hangs) await delay(clock, 4000, signal);
    if (network.latencyMs > 0) await delay(clock, network.latencyMs, signal);
    if (signal?.aborted) throw signal.reason;
    if (network.refusal) throw network.refusal;
    if (network.hangs || failure === 'before') throw unreachable;
    const answer = act();
    if (network.latencyMs > 0) await delay(clock, network.latencyMs, signal);
    if (signal?.aborted) throw signal.reason;
    if (failure === 'after') throw unreachable;
    return answer;
  };
  const client: Pick<ApiClient, 'get' | 'create' | 'patch'> = {
    get: async (_, __, options) =>
      call(() => {
        if (server.lease) return structuredClone(server.lease) as never;
        throw new EspalierError('ObjectNotFound', 'no lease');
      }, options?.signal),
    create: async (_, object, options) =>
      call(() => server.write(object, undefined) as never, options?.signal),
    patch: async (_, __, patch, options) =>
      call(() => server.write(patch, options?.resourceVersion) as never, options?.signal),
  };
  return client as ApiClient;
};

const setUp = () => {
  const clock = fakeClock();
  const server = new LeaseServer();
  const never = new AbortController().signal;
  const replica = async (
    identity: string,
    network = perfect(),
    signal = never,
    onLook: (problem: string | undefined) => void = () => undefined,
  ) =>
    becomeLeader(
      {
        onLook,
        client: clientOf(server, clock, network),
        namespace: 'espalier-system',
        identity,
        clock,
        random: seededRandom(identity.length),
        logger: createLogger({ name: 'test', level: 'silent' }),
      },
      signal,
    );
  /** A replica that may lead later. */
  const standby = (identity: string, network = perfect()) => {
    const box: { term?: Leadership } = {};
    void replica(identity, network).then((term) => (box.term = term));
    return box;
  };
  return { clock, server, replica, standby };
};

test('one leads, the other stands by, and takes over at once when the Lease is given up', async () => {
  const { clock, replica, standby } = setUp();
  const first = await replica('a');
  const second = standby('b');
  await clock.advance(60_000);
  assert.equal(first.signal.aborted, false);
  assert.equal(second.term, undefined);
  await first.release();
  await clock.settle();
  await clock.advance(3000);
  assert.ok(second.term!.epoch > first.epoch);
});

test('a Lease is given up in the midst of a renewal, too', async () => {
  const { clock, server, replica } = setUp();
  const network = { ...perfect(), latencyMs: 100 };
  const taking = replica('a', network);
  await clock.advance(300);
  const term = await taking;
  const taken = server.lease!.metadata.resourceVersion;
  // The renewal has reached the server, but its answer not us.
  await clock.advance(2150);
  assert.notEqual(server.lease!.metadata.resourceVersion, taken);
  const released = term.release();
  await clock.settle();
  await clock.advance(1000);
  await released;
  assert.equal(server.lease!.spec!.holderIdentity, '');
});

test('epochs are at least the Unix time, so that a deleted Lease does not set them back', async () => {
  const { clock, server, replica } = setUp();
  const first = await replica('a');
  assert.ok(first.epoch >= clock.now().getTime() / 1000 - 1);
  await first.release();
  server.lease = undefined;
  await clock.advance(1000);
  const second = await replica('b');
  assert.ok(second.epoch > first.epoch);
});

test('a leader that is cut off ends its term after 10 s, before another may lead after 15 s', async () => {
  const { clock, replica, standby } = setUp();
  const network = perfect();
  const first = await replica('a', network);
  const second = standby('b');
  await clock.advance(20_000);
  network.hangs = true;
  const lastRenewalMs = clock.monotonicMs();
  while (!first.signal.aborted) await clock.advance(100);
  assert.ok(clock.monotonicMs() - lastRenewalMs <= 10_100);
  assert.equal((first.signal.reason as EspalierError).code, 'EpochFenced');
  assert.equal(second.term, undefined);
  while (!second.term) await clock.advance(100);
  const tookMs = clock.monotonicMs() - lastRenewalMs;
  assert.ok(tookMs >= 12_000 && tookMs <= 18_000, `${tookMs}`);
});

test('a Lease that somebody else holds ends the term at the next renewal', async () => {
  const { clock, server, replica } = setUp();
  const term = await replica('a');
  server.write({ spec: { holderIdentity: 'kubectl' } }, server.lease!.metadata.resourceVersion);
  await clock.advance(2100);
  assert.match(String(term.signal.reason), /held by kubectl/);
});

test('a renewal whose answer was lost, and an annotation by somebody, end nothing', async () => {
  const { clock, server, replica } = setUp();
  const network = perfect();
  const term = await replica('a', network);
  network.fails = () => 'after';
  await clock.advance(4100);
  network.fails = () => undefined;
  await clock.advance(10_000);
  server.write({ metadata: { labels: { x: 'y' } } }, server.lease!.metadata.resourceVersion);
  await clock.advance(20_000);
  assert.equal(term.signal.aborted, false);
});

test('a restarted replica of the same identity leads again at once, with a higher epoch', async () => {
  const { clock, replica } = setUp();
  const before = await replica('operator-0');
  await clock.advance(1000);
  const again = await replica('operator-0');
  assert.ok(again.epoch > before.epoch);
  await clock.advance(2100);
  assert.equal(before.signal.aborted, true, 'and if the old one lives, it stops');
});

test('a standby that is stopped stops waiting', async () => {
  const { clock, replica } = setUp();
  await replica('a');
  const controller = new AbortController();
  const waiting = assert.rejects(replica('b', perfect(), controller.signal), /stopped/);
  await clock.settle();
  controller.abort(new Error('stopped'));
  await waiting;
});

test('whatever the network does, no two terms overlap and epochs go up: 100 seeds', async () => {
  for (let seed = 1; seed <= 100; seed += 1) {
    const { clock, standby } = setUp();
    const random = seededRandom(seed);
    const networks = ['a', 'bb', 'ccc'].map((identity) => {
      const network = perfect();
      const replica = { identity, network, box: standby(identity, network) };
      return replica;
    });
    let lastEpoch = 0;
    const terms = new Set<Leadership>();
    for (let step = 0; step < 200; step += 1) {
      const { network } = networks[Math.floor(random() * 3)]!;
      const rate = random() < 0.5 ? 0 : random();
      network.latencyMs = random() < 0.7 ? 10 : random() * 3000;
      network.hangs = random() < 0.2;
      network.fails = () => (random() < rate ? (random() < 0.5 ? 'before' : 'after') : undefined);
      await clock.advance(random() * 3000);
      for (const replica of networks) {
        const { term } = replica.box;
        if (term?.signal.aborted) replica.box = standby(replica.identity, replica.network);
        if (!term || terms.has(term)) continue;
        terms.add(term);
        assert.ok(term.epoch > lastEpoch, `SEED=${seed}: epoch ${term.epoch} after ${lastEpoch}`);
        lastEpoch = term.epoch;
      }
      const leading = [...terms].filter(({ signal }) => !signal.aborted);
      assert.ok(leading.length <= 1, `SEED=${seed} step ${step}: ${leading.length} lead`);
    }
    assert.ok(terms.size > 0, `SEED=${seed}: somebody led`);
  }
});

test('a leader that was stopped for long has lost its term before its timers say so', async () => {
  const { clock, server, replica } = setUp();
  let stoppedMs = 0;
  const never = new AbortController().signal;
  const stopped = { ...clock, monotonicMs: () => clock.monotonicMs() + stoppedMs };
  await (await replica('a')).release();
  const term = await becomeLeader(
    {
      client: clientOf(server, clock, perfect()),
      namespace: 'espalier-system',
      identity: 'b',
      clock: stopped,
      random: seededRandom(1),
      logger: createLogger({ name: 'test', level: 'silent' }),
    },
    never,
  );
  assert.equal(term.signal.aborted, false);
  stoppedMs = 10_000;
  assert.equal(term.signal.aborted, true);
  assert.equal((term.signal.reason as EspalierError).code, 'EpochFenced');
});

test('who is refused the Lease from the start gives up after 15 s, and says why', async () => {
  const { clock, replica } = setUp();
  const network = {
    ...perfect(),
    refusal: new EspalierError('ApiForbidden', 'User "nobody" cannot'),
  };
  const problems: (string | undefined)[] = [];
  const waiting = replica('a', network, undefined, (problem) => problems.push(problem));
  const failing = assert.rejects(waiting, (error: unknown) => {
    assert.ok(error instanceof EspalierError);
    assert.equal(error.code, 'ApiForbidden');
    assert.match(
      error.message,
      /the Lease espalier-operator in the namespace .* User "nobody" cannot/,
    );
    return true;
  });
  await clock.settle();
  await clock.advance(20_000);
  await failing;
  assert.ok(problems.length > 0);
  assert.ok(problems.every((problem) => problem === 'User "nobody" cannot'));
});

test('a standby that is refused later waits on: rights come back', async () => {
  const { clock, replica } = setUp();
  const first = await replica('a');
  const network = perfect();
  const problems: (string | undefined)[] = [];
  const second = replica('b', network, undefined, (problem) => problems.push(problem));
  await clock.advance(3000);
  assert.equal(problems.at(-1), undefined);
  network.refusal = new EspalierError('ApiUnauthorized', 'expired');
  await clock.advance(60_000);
  assert.equal(problems.at(-1), 'expired');
  network.refusal = undefined;
  await first.release();
  await clock.advance(3000);
  assert.ok((await second).epoch > first.epoch);
});

test('a term that ended because the API server is away has its succession when that is back', async () => {
  const { clock, replica } = setUp();
  const network = perfect();
  const term = await replica('a', network);
  network.fails = () => 'before';
  await clock.advance(11_000);
  assert.equal(term.signal.aborted, true);
  let isOver = false;
  void term.succession(new AbortController().signal).then(() => (isOver = true));
  await clock.advance(600_000);
  assert.equal(isOver, false);
  network.fails = () => undefined;
  await clock.advance(3000);
  assert.equal(isOver, true);
});
