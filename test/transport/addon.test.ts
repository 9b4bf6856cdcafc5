import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

import { errorCatalogue } from '../../src/base/errors.ts';
import { loadAddon } from '../../src/transport/addon.ts';
import type { NativeEngineEvent, NativeEngineOptions } from '../../src/transport/types.ts';

const folder = fileURLToPath(new URL('../../examples/models/sprout', import.meta.url));

const alone: NativeEngineOptions = {
  group: {
    rank: 0,
    size: 1,
    rendezvousHost: '127.0.0.1',
    rendezvousPort: 0,
    dataHost: '127.0.0.1',
    secret: 's',
    epoch: 1,
    hostId: 'test',
    links: ['shm', 'tcp'],
    rendezvousTimeoutMs: 5000,
    operationTimeoutMs: 5000,
  },
  model: {
    folder,
    contextLength: 64,
    maxSequences: 2,
    threads: 1,
    shard: { tensorRank: 0, tensorSize: 1, stage: 0, stageCount: 1, firstLayer: 0, endLayer: 6 },
  },
  maxWaiting: 1,
};

const request = {
  promptTokens: Int32Array.of(0, 48),
  stopTokenIds: new Int32Array(),
  maxTokens: 1000,
  temperature: 0,
  topP: 1,
  seed: 0n,
};

/** Starts an engine; `until` resolves with the first event of a type. */
const startEngine = (options: NativeEngineOptions) => {
  const events: NativeEngineEvent[] = [];
  let wake: (() => void) | undefined;
  const engine = new (loadAddon().Engine)(options, (event) => {
    events.push(event);
    wake?.();
  });
  const until = async (matches: (event: NativeEngineEvent) => boolean) => {
    for (;;) {
      const found = events.find(matches);
      if (found) return found;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  const serving = () => until((event) => event.type === 'phase' && event.phase === 'Serving');
  const end = () => until(({ type }) => type === 'end');
  return { engine, events, serving, end };
};

test('an engine reports its phases, its tokens and its end', async () => {
  const { engine, events, serving, end } = startEngine(alone);
  assert.throws(() => engine.submit(request), { code: 'EngineNotReady' });
  await serving();
  const handle = engine.submit({ ...request, maxTokens: 3 });
  while (engine.stats().activeRequests > 0) await new Promise(setImmediate);
  engine.stop();
  assert.deepEqual(await end(), { type: 'end' });
  assert.throws(() => engine.submit(request), { code: 'EngineNotReady' });
  const triples = events.flatMap((event) => (event.type === 'tokens' ? [...event.tokens] : []));
  assert.deepEqual(
    triples.filter((_, index) => index % 3 === 0),
    [handle, handle, handle],
  );
  assert.deepEqual(
    triples.filter((_, index) => index % 3 === 2),
    [0, 0, 2],
  );
  assert.ok(engine.stats().shardBytes > 5_000_000);
});

test('requests out of range are refused with a code', async () => {
  const { engine, serving, end } = startEngine(alone);
  await serving();
  const codeOf = (change: object) => {
    try {
      return engine.submit({ ...request, ...change });
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  assert.equal(codeOf({ promptTokens: new Int32Array() }), 'RequestInvalid');
  assert.equal(codeOf({ promptTokens: Int32Array.of(2048) }), 'RequestInvalid');
  assert.equal(codeOf({ promptTokens: new Int32Array(64) }), 'ContextLengthExceeded');
  assert.throws(() => engine.submit({ ...request, seed: 1 as unknown as bigint }), TypeError);
  engine.stop();
  await end();
});

test('wrong options are a TypeError that names the field', () => {
  const { Engine } = loadAddon();
  const broken = { ...alone, model: { ...alone.model, threads: 'two' as unknown as number } };
  assert.throws(() => new Engine(broken, () => {}), /`threads`.*non-negative integer/);
  for (const wrong of [{ rendezvousPort: 65_537 }, { rank: 2 ** 32 }, { epoch: 2 ** 53 }]) {
    const group = { ...alone.group, ...wrong };
    const named = new RegExp(`\`${Object.keys(wrong)[0]}\`.*non-negative integer of at most`);
    assert.throws(() => new Engine({ ...alone, group }, () => {}), named);
  }
});

test('a wrong folder fails the check and the engine, with the same code', async () => {
  const absent = join(folder, 'absent');
  await assert.rejects(loadAddon().checkModel(absent), { code: 'ModelFolderMissing' });
  const { end } = startEngine({ ...alone, model: { ...alone.model, folder: absent } });
  const last = await end();
  assert.equal(last.type === 'end' && last.error?.code, 'ModelFolderMissing');
});

test('engines live and die with worker threads', async () => {
  const addon = new URL('../../src/transport/addon.ts', import.meta.url).href;
  const source = `
    import { parentPort, workerData } from 'node:worker_threads';
    const { loadAddon } = await import(${JSON.stringify(addon)});
    const { Engine } = loadAddon();
    const engine = new Engine(workerData.options, (event) => {
      if (event.type === 'phase' && event.phase === 'Serving') engine.submit(workerData.request);
      if (event.type === 'tokens') parentPort.postMessage('token');
    });`;
  const workers = Array.from({ length: 2 }, () => {
    const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
    return new Worker(url, { workerData: { options: alone, request } });
  });
  await Promise.all(workers.map(async (worker) => once(worker, 'message')));
  // Ended in the middle of their work: nothing waits for them, nothing crashes.
  await Promise.all(workers.map(async (worker) => worker.terminate()));
  const { engine, serving, end } = startEngine(alone);
  await serving();
  engine.stop();
  await end();
});

test('every code that native code can report is in the catalogue', async () => {
  const native = fileURLToPath(new URL('../../native', import.meta.url));
  const folders = ['engine', 'transport', 'addon'].map((name) => join(native, name));
  // Unreachable never leaves the rendezvous: it means "dial again".
  const internal = ['Unreachable'];
  const missing = new Set<string>();
  for (const directory of folders) {
    for (const entry of await readdir(directory, { recursive: true })) {
      if (!/\.(cpp|h)$/.test(entry)) continue;
      const text = await readFile(join(directory, entry), 'utf8');
      for (const [, code = ''] of text.matchAll(/\b[fF]ail\w*\(\s*"([A-Z][A-Za-z]+)"/g)) {
        if (!(code in errorCatalogue) && !internal.includes(code)) missing.add(code);
      }
    }
  }
  assert.deepEqual([...missing], []);
});
