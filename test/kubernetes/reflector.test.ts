import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { seededRandom } from '../../src/base/random.ts';
import { eventually } from '../support/eventually.ts';
import type { Fault, ProxyRequest } from './proxy-faults.ts';
import {
  configMap,
  configMaps,
  createRig,
  directClient,
  fasterClock,
  textOf,
} from './reflector-fixture.ts';
import type { ConfigMap, Rig } from './reflector-fixture.ts';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';

let server: ApiServer;
let direct: ReturnType<typeof directClient>;
before(async () => {
  server = await startApiServer();
  direct = directClient(server);
});
after(async () => {
  await direct.close();
  await server.stop();
});

let namespaces = 0;
const newNamespace = async (): Promise<string> => {
  namespaces += 1;
  const name = `reflector-${namespaces}`;
  const resource = { group: '', version: 'v1', plural: 'namespaces', isNamespaced: false };
  await direct.client.apply(resource, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  return name;
};

const put = async (namespace: string, name: string, value: string): Promise<ConfigMap> =>
  direct.client.apply<ConfigMap>(configMaps, configMap(namespace, name, value));

const remove = async (namespace: string, name: string): Promise<void> =>
  direct.client.delete(configMaps, { namespace, name });

const truth = async (namespace: string): Promise<string[]> =>
  textOf((await direct.client.list<ConfigMap>(configMaps, { namespace })).items);

const caughtUp = async (rig: Rig, namespace: string, timeoutMs = 30_000): Promise<void> => {
  await eventually(
    `the cache equals the server's list; ${JSON.stringify(rig.reflector.status())}`,
    async () => {
      const expected = await truth(namespace);
      assert.deepEqual(textOf(rig.reflector.list()), expected);
      assert.deepEqual(textOf([...rig.heard.values()]), expected, 'what was told');
      return true;
    },
    { timeoutMs },
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${rig.proxy.log.join('\n')}`, { cause: error });
  });
};

const onWatch = ({ kind }: ProxyRequest): boolean => kind === 'watch';
const onAny = (): boolean => true;

const stream = (how: 'close' | 'cut' | 'cut-line' | 'garbage' | 'gone' | 'silence'): Fault => ({
  kind: 'stream',
  duplicate: 0,
  reorder: 0,
  end: { afterLines: 3, how },
});

/**
 * The library's informer ends for ever at its first error: after a 429 on its first list, after a broken
 * connection, it never asks again. In each of these ours is back within its backoff.
 */
const faults: Record<string, { on: (request: ProxyRequest) => boolean; faults: Fault[] }> = {
  '429 on the first request': {
    on: onAny,
    faults: [{ kind: 'status', status: 429, reason: 'TooManyRequests', retryAfterSeconds: 2 }],
  },
  'storage that is not ready yet': {
    on: onAny,
    faults: Array.from({ length: 3 }, () => ({ kind: 'status', status: 500, reason: 'x' })),
  },
  'connections that are refused': { on: onAny, faults: [{ kind: 'refuse' }, { kind: 'refuse' }] },
  'a first request that vanishes': { on: onAny, faults: [{ kind: 'silence' }] },
  'a stream that ends': { on: onWatch, faults: [stream('close')] },
  'a stream that breaks': { on: onWatch, faults: [stream('cut')] },
  'a stream cut inside a line': { on: onWatch, faults: [stream('cut-line')] },
  'a line that is not JSON': { on: onWatch, faults: [stream('garbage')] },
  '410 inside the stream': { on: onWatch, faults: [stream('gone')] },
  '410 as the answer': {
    on: onWatch,
    faults: [stream('close'), { kind: 'status', status: 410, reason: 'Expired' }],
  },
  'a half-open stream': { on: onWatch, faults: [stream('silence')] },
  'events twice and swapped': {
    on: onWatch,
    faults: [{ kind: 'stream', duplicate: 0.5, reorder: 0.5 }],
  },
  'single bytes, slowly': { on: onWatch, faults: [{ kind: 'slow' }] },
};

for (const [title, { on, faults: scripted }] of Object.entries(faults)) {
  test(`the cache survives ${title}`, { timeout: 120_000 }, async () => {
    const namespace = await newNamespace();
    for (const name of ['a', 'b', 'c']) await put(namespace, name, '1');
    const timing = { silenceMs: 20_000 };
    const rig = await createRig(server, { namespace, seed: 1, clock: fasterClock(10), timing });
    rig.proxy.script.push(...scripted.map((fault) => ({ on, fault })));
    try {
      await rig.reflector.start();
      await caughtUp(rig, namespace);
      await put(namespace, 'a', '2');
      await remove(namespace, 'b');
      await remove(namespace, 'c');
      await put(namespace, 'c', '1');
      await caughtUp(rig, namespace);
      await put(namespace, 'd', '1');
      await caughtUp(rig, namespace);
      assert.equal(rig.proxy.script.length, 0, 'every fault happened');
    } finally {
      await rig.close();
    }
  });
}

test('after kill -9 of the server, and of etcd, the next change is seen', async () => {
  const namespace = await newNamespace();
  const rig = await createRig(server, { namespace, seed: 1, clock: fasterClock(10) });
  try {
    await rig.reflector.start();
    for (const part of ['apiserver', 'etcd'] as const) {
      await server.restart(part);
      await eventually('a write is accepted', async () => put(namespace, part, '1'));
      await caughtUp(rig, namespace);
    }
    await server.kill('apiserver');
    await eventually('it waits', () => rig.reflector.status().state === 'waiting');
    assert.equal(rig.reflector.list().length, 2, 'the cache stays when the server is away');
    await server.restart('apiserver');
    await put(namespace, 'after', '1');
    await caughtUp(rig, namespace);
  } finally {
    await rig.close();
  }
});

test('a list of 1,200 objects comes in whole, in pages and as a stream', async () => {
  const namespace = await newNamespace();
  const names = Array.from({ length: 1200 }, (_, index) => `w${index}`);
  for (let start = 0; start < names.length; start += 50) {
    const some = names.slice(start, start + 50);
    await Promise.all(some.map(async (name) => put(namespace, name, 'x')));
  }
  for (const refusals of [0, 1]) {
    const rig = await createRig(server, { namespace, seed: 1, clock: fasterClock(10) });
    const fault: Fault = { kind: 'status', status: 422, reason: 'Invalid' };
    for (let index = 0; index < refusals; index += 1) rig.proxy.script.push({ on: onWatch, fault });
    try {
      await rig.reflector.start();
      await caughtUp(rig, namespace);
      const lists = rig.proxy.log.filter((line) => line.startsWith('GET list'));
      assert.equal(lists.length, refusals * 3);
    } finally {
      await rig.close();
    }
  }
});

/** Creates, edits and deletes, some of it by the follower itself, which reads its own writes. */
const stir = async (rig: Rig, namespace: string, seed: number, steps: number): Promise<void> => {
  const random = seededRandom(seed + 1000);
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  for (let step = 0; step < steps; step += 1) {
    const name = names[Math.floor(random() * names.length)]!;
    const choice = random();
    if (choice < 0.5) await put(namespace, name, `${step}`);
    else if (choice < 0.7) await remove(namespace, name).catch(ignoreMissing);
    else await ownWrite(rig, namespace, name, `own ${step}`);
  }
};

const ignoreMissing = (error: unknown): void => {
  assert.match(String(error), /not found/);
};

/** May fail, that is what the proxy is for; but what it was told is there is in the cache at once. */
const ownWrite = async (rig: Rig, namespace: string, name: string, value: string) => {
  const body = configMap(namespace, name, value);
  const written = await rig.client
    .apply<ConfigMap>(configMaps, body, { deadlineMs: 20_000 })
    .catch(() => undefined);
  if (!written) return;
  rig.reflector.absorb(written);
  const cached = rig.reflector.get(`${namespace}/${name}`);
  const isOlder =
    cached && Number(cached.metadata.resourceVersion) < Number(written.metadata.resourceVersion);
  assert.ok(!isOlder, 'an own write is read back');
};

const seeds = Array.from({ length: Number(process.env['SEEDS'] ?? 50) }, (_, index) => index + 1);
const chosen = process.env['SEED'] === undefined ? seeds : [Number(process.env['SEED'])];
const concurrency = 5;

const soak = async (seed: number): Promise<void> => {
  const namespace = await newNamespace();
  const rig = await createRig(server, {
    namespace,
    seed,
    rates: { requests: 0.3, watches: 0.7, silence: 0.1 },
    clock: fasterClock(10),
    timing: { silenceMs: 15_000, initialEventsMs: 20_000 },
  });
  try {
    const started = rig.reflector.start();
    await stir(rig, namespace, seed, 60);
    await started;
    await caughtUp(rig, namespace, 60_000);
    await stir(rig, namespace, seed + 1, 20);
    await caughtUp(rig, namespace, 60_000);
    assert.equal(textOf(rig.reflector.list()).length, (await truth(namespace)).length);
  } catch (error) {
    throw new Error(`SEED=${seed}: ${String(error)}`, { cause: error });
  } finally {
    await rig.close();
  }
};

const handles = (): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) counts[name] = (counts[name] ?? 0) + 1;
  return { sockets: counts['TCPSocketWrap'] ?? 0, servers: counts['TCPServerWrap'] ?? 0 };
};

test(`${chosen.length} seeds of faults end in the state of the server, and leave nothing behind`, async () => {
  await truth('default');
  const before = handles();
  const left = [...chosen];
  const workers = Array.from({ length: concurrency }, async () => {
    for (let seed = left.shift(); seed !== undefined; seed = left.shift()) await soak(seed);
  });
  await Promise.all(workers);
  await eventually('sockets and servers are as before', () => {
    const now = handles();
    assert.ok(now['servers']! <= before['servers']!, JSON.stringify(now));
    // The direct client keeps idle connections of its own, one per write that was under way.
    assert.ok(now['sockets']! <= before['sockets']! + concurrency, JSON.stringify(now));
    return true;
  });
});
