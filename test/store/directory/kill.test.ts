import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { seededRandom } from '../../../src/base/random.ts';
import { seed } from '../../support/seed.ts';
import { deploymentText, makeFolders, openStore } from './fixture.ts';
import type { Folders } from './fixture.ts';

const rounds = 6;

interface Acknowledged {
  epoch?: number;
  status?: number;
  revision?: string;
  gone?: string;
}

/** Runs a writer, kills it after it has acknowledged `writes` and a random moment more, gives what it said. */
const runAndKill = async (folders: Folders, from: number, writes: number, extraMs: number) => {
  const child = spawn(
    process.execPath,
    [
      fileURLToPath(new URL('./kill-child.ts', import.meta.url)),
      folders.directory,
      folders.stateDirectory,
      String(from),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let text = '';
  await new Promise<void>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the writer ended by itself: ${code}`)));
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.split('\n').length > writes) resolve();
    });
  });
  child.removeAllListeners('exit');
  await sleep(extraMs);
  child.kill('SIGKILL');
  await once(child, 'close');
  const lines = text.split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Acknowledged);
};

test(`kill -9 at any moment loses nothing acknowledged and tears nothing (seed ${seed})`, async (t) => {
  const folders = makeFolders(t);
  folders.save('a.yaml', deploymentText('a'));
  const random = seededRandom(seed);
  let uid: string | undefined;
  let from = 0;
  let lastEpoch = 0;
  const expected = new Map<string, boolean>();
  for (let round = 0; round < rounds; round += 1) {
    const said = await runAndKill(folders, from, 5 + random() * 40, random() * 15);
    for (const { revision, gone } of said) {
      if (revision !== undefined) expected.set(revision, true);
      if (gone !== undefined) expected.set(gone, false);
    }
    const status = Math.max(...said.map((line) => line.status ?? 0));
    assert.ok((said[0]?.epoch ?? 0) > lastEpoch);
    // The lock of the killed process is taken over; nothing is set aside.
    const store = await openStore(folders);
    t.after(() => store.stop());
    await store.start(() => {});
    assert.ok(store.epoch() > (said[0]?.epoch ?? 0));
    lastEpoch = store.epoch();
    const object = store.deployment('default', 'a');
    uid ??= object?.metadata.uid;
    assert.equal(object?.metadata.uid, uid);
    assert.equal(object?.metadata.generation, 1);
    // What was under way when it died may be there or not.
    assert.ok([status, status + 1].includes(object.status.replicas), `${object.status.replicas}`);
    const there = new Set(store.revisions('default', 'a').map(({ metadata }) => metadata.name));
    const inFlight = new Set([`a-r${status}`, `a-r${status + 1}`]);
    for (const [name, isThere] of expected) {
      if (isThere !== there.has(name)) assert.ok(inFlight.has(name), name);
    }
    for (const name of there) expected.set(name, true);
    for (const name of inFlight) if (!there.has(name)) expected.delete(name);
    assert.ok(!store.events().some(({ reason }) => reason === 'StateCorrupt'));
    from = object.status.replicas + 1;
    await store.stop();
    const files = readdirSync(folders.stateDirectory, { recursive: true, encoding: 'utf8' });
    assert.deepEqual(
      files.filter((file) => /\.tmp$|corrupt|lock/.test(file)),
      [],
    );
  }
});
