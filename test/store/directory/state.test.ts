import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { Store } from '../../../src/controller/ports.ts';
import { openReadOnly } from '../../../src/store/directory/read-only.ts';
import { eventually } from '../../support/eventually.ts';
import {
  deploymentText,
  makeFolders,
  names,
  nodeText,
  openStore,
  reasonsOf,
  startStore,
} from './fixture.ts';

const statusWith = (store: Store, message: string) => {
  const { status } = store.deployment('default', 'a')!;
  const condition = {
    type: 'Ready',
    status: 'False' as const,
    observedGeneration: 1,
    lastTransitionTime: '2026-11-23T00:00:00Z',
    reason: 'AwaitingRanks',
    message,
  };
  return { ...status, conditions: [condition] };
};

const setStatus = (store: Store, message: string) =>
  store.updateDeploymentStatus('default', 'a', statusWith(store, message));

const messageOf = (view: Pick<Store, 'deployments'>) =>
  view.deployments()[0]?.status.conditions[0]?.message;

describe('the state directory', { concurrency: 4 }, () => {
  test('has one readable JSON file per object, and a key that only its owner reads', async (t) => {
    const folders = makeFolders(t);
    folders.save('a.yaml', `${deploymentText('a')}---\n${nodeText('mini-1.rack')}`);
    const { store } = await startStore(t, folders);
    const { stateDirectory } = folders;
    assert.deepEqual(readdirSync(join(stateDirectory, 'deployments')), ['default_a.json']);
    assert.deepEqual(readdirSync(join(stateDirectory, 'nodes')), ['mini-1.rack.json']);
    const path = join(stateDirectory, 'deployments', 'default_a.json');
    const { object, file } = JSON.parse(readFileSync(path, 'utf8'));
    assert.deepEqual([object, file], [store.deployment('default', 'a'), 'a.yaml']);
    assert.equal(statSync(join(stateDirectory, 'group-secret')).mode & 0o777, 0o600);
  });

  test('is not written when nothing changed', async (t) => {
    const folders = makeFolders(t);
    folders.save('a.yaml', deploymentText('a'));
    const { store } = await startStore(t, folders);
    await setStatus(store, 'one');
    const path = join(folders.stateDirectory, 'deployments', 'default_a.json');
    const { ino } = statSync(path);
    await setStatus(store, 'one');
    assert.equal(statSync(path).ino, ino);
  });

  test('is kept from a second control plane, which is told the pid', async (t) => {
    const folders = makeFolders(t);
    const { store } = await startStore(t, folders);
    const error = await openStore(folders).catch((reason: unknown) => reason);
    assert.ok(error instanceof Error);
    assert.match(error.message, new RegExp(`pid ${process.pid} uses this state directory`));
    assert.equal('code' in error && error.code, 'StateLocked');
    await store.stop();
    await (await openStore(folders)).stop();
  });
});

describe('the lock of a state directory', { concurrency: 4 }, () => {
  test('is taken over from a process that is dead, or whose pid another one has now', async (t) => {
    const folders = makeFolders(t);
    await (await openStore(folders)).stop();
    const lock = join(folders.stateDirectory, 'lock');
    const dead = spawn('true');
    await once(dead, 'exit');
    for (const holder of [
      JSON.stringify({ pid: dead.pid, identity: 'gone', token: 'x' }),
      JSON.stringify({ pid: process.pid, identity: 'started at another time', token: 'x' }),
      'torn',
      '',
    ]) {
      writeFileSync(lock, holder);
      await (await openStore(folders)).stop();
    }
    assert.deepEqual(
      readdirSync(folders.stateDirectory).filter((name) => /lock|tmp/.test(name)),
      [],
    );
  });

  test('of several that find a dead lock at once, exactly one takes it', async (t) => {
    const folders = makeFolders(t);
    await (await openStore(folders)).stop();
    writeFileSync(
      join(folders.stateDirectory, 'lock'),
      JSON.stringify({ pid: 999_999_999, identity: 'gone', token: 'x' }),
    );
    const tries = await Promise.allSettled([1, 2, 3, 4].map(() => openStore(folders)));
    const opened = tries.filter((result) => result.status === 'fulfilled');
    for (const { value } of opened) await value.stop();
    const refused = tries.filter((result) => result.status === 'rejected');
    assert.deepEqual(
      refused.map(({ reason }) => reason.code),
      ['StateLocked', 'StateLocked', 'StateLocked'],
    );
  });
});

describe('a state directory that was damaged or is old', { concurrency: 4 }, () => {
  test('half-written files are swept, damaged ones set aside and told; the others load', async (t) => {
    const folders = makeFolders(t);
    folders.save('a.yaml', deploymentText('a'));
    folders.save('b.yaml', deploymentText('b'));
    const { store } = await startStore(t, folders);
    const kept = store.deployment('default', 'b');
    await setStatus(store, 'before');
    await store.stop();
    const { stateDirectory } = folders;
    const torn = join(stateDirectory, 'deployments', 'default_a.json');
    writeFileSync(torn, readFileSync(torn, 'utf8').slice(0, 100));
    writeFileSync(join(stateDirectory, 'events.json'), '{"events": 7}');
    writeFileSync(join(stateDirectory, 'epoch.json'), '\0\0\0');
    const leftover = join(stateDirectory, 'deployments', '.default_a.json.1234.tmp');
    writeFileSync(leftover, '{');

    const { store: reopened } = await startStore(t, folders);
    assert.deepEqual(reopened.deployment('default', 'b'), kept);
    // The user's intent is in the YAML: made anew from it.
    assert.equal(reopened.deployment('default', 'a')?.status.observedGeneration, -1);
    assert.ok(reopened.epoch() > store.epoch() - 1);
    assert.equal(existsSync(leftover), false);
    for (const path of [torn, join(stateDirectory, 'events.json')]) {
      assert.ok(existsSync(`${path}.corrupt`), path);
    }
    const corrupt = reopened.events().filter(({ reason }) => reason === 'StateCorrupt');
    assert.equal(corrupt.length, 3);
    assert.ok(corrupt.some(({ regarding }) => regarding.name === `${torn}.corrupt`));
  });

  test('fields that a newer release defaults are there after an upgrade, and change no generation', async (t) => {
    const folders = makeFolders(t);
    folders.save('a.yaml', deploymentText('a'));
    const { store } = await startStore(t, folders);
    await store.stop();
    const path = join(folders.stateDirectory, 'deployments', 'default_a.json');
    const record = JSON.parse(readFileSync(path, 'utf8'));
    delete record.object.spec.dataPolicy;
    delete record.object.status.groups;
    writeFileSync(path, JSON.stringify(record));
    const { store: upgraded } = await startStore(t, folders);
    const object = upgraded.deployment('default', 'a');
    assert.equal(object?.metadata.generation, 1);
    assert.deepEqual([object?.spec.dataPolicy, object?.status.groups], [{ egress: 'Deny' }, []]);
  });

  test('at most 1000 events are kept, the ones seen last', async (t) => {
    const folders = makeFolders(t);
    const { store } = await startStore(t, folders);
    for (let index = 0; index < 1200; index += 1) {
      store.recordEvent({
        regarding: { kind: 'ClusterNode', name: 'n' },
        type: 'Normal',
        reason: 'NodeReporting',
        message: `${index} ${'x'.repeat(2000)}`,
      });
    }
    const events = store.events();
    assert.equal(events.length, 1000);
    assert.match(events[0]!.message, /^200 /);
    assert.ok(events.every(({ message }) => message.length <= 1024));
    await store.stop();
    assert.deepEqual(openReadOnly(folders.stateDirectory).events(), events);
  });
});

describe('a state directory that cannot be written', { concurrency: 4 }, () => {
  test('a part of its path that is a file is named', async (t) => {
    const folders = makeFolders(t);
    writeFileSync(join(folders.root, 'file'), '');
    const stateDirectory = join(folders.root, 'file', 'state');
    await assert.rejects(openStore({ ...folders, stateDirectory }), {
      code: 'StateNotWritable',
      message: /cannot write .*file\/state: ENOTDIR.*a part of the path is a file/,
    });
  });

  test('a write that fails is a typed error, harms nothing, and works again once repaired', async (t) => {
    const folders = makeFolders(t);
    folders.save('a.yaml', deploymentText('a'));
    const { store } = await startStore(t, folders);
    await setStatus(store, 'good');
    // Running as root, permissions stop nothing; a folder in the file's place does.
    const path = join(folders.stateDirectory, 'deployments', 'default_a.json');
    const saved = readFileSync(path);
    rmSync(path);
    mkdirSync(join(path, 'in-the-way'), { recursive: true });
    await assert.rejects(setStatus(store, 'bad'), { code: 'StateNotWritable' });
    assert.equal(messageOf(store), 'good');
    folders.save('a.yaml', deploymentText('a', '  replicas: 2\n'));
    const problem = await eventually('the problem is told', () => store.problems()[0]);
    assert.equal(problem.file, folders.stateDirectory);
    assert.equal(store.deployment('default', 'a')?.spec.replicas, 1);
    assert.ok(reasonsOf(store).includes('StateNotWritable'));
    rmSync(path, { recursive: true });
    writeFileSync(path, saved);
    await eventually('it recovers', () => store.deployment('default', 'a')?.spec.replicas === 2);
    await eventually('the problem is over', () => store.problems().length === 0);
    await setStatus(store, 'better');
    assert.equal(messageOf(openReadOnly(folders.stateDirectory)), 'better');
    assert.ok(reasonsOf(store).includes('StateWritable'));
  });

  test('a disk that is full, then read-only, is named; nothing is torn; it recovers', async (t) => {
    const folders = makeFolders(t);
    const { stateDirectory } = folders;
    mkdirSync(stateDirectory);
    if (!mount(stateDirectory, 'size=96k')) return t.skip('mounting a tmpfs needs privileges');
    folders.save('a.yaml', deploymentText('a'));
    const store = await openStore(folders);
    await store.start(() => {});
    try {
      await fillAndFree(store, stateDirectory);
    } finally {
      await store.stop();
      execFileSync('umount', ['-l', stateDirectory]);
    }
  });
});

test('openReadOnly refuses what is no state directory, and skips what it cannot read', async (t) => {
  const folders = makeFolders(t);
  assert.throws(() => openReadOnly(folders.stateDirectory), { code: 'StateNotFound' });
  folders.save('a.yaml', deploymentText('a'));
  folders.save('bad.yaml', 'kind: [ModelDeployment');
  const { store } = await startStore(t, folders);
  const view = openReadOnly(folders.stateDirectory);
  assert.deepEqual(names(view.deployments()), ['a']);
  assert.deepEqual(view.problems(), store.problems());
  assert.equal(view.problems().length, 1);
  writeFileSync(join(folders.stateDirectory, 'deployments', 'default_a.json'), '{');
  assert.deepEqual(openReadOnly(folders.stateDirectory).deployments(), []);
});

const mount = (path: string, options: string): boolean => {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

const fillAndFree = async (store: Store, stateDirectory: string): Promise<void> => {
  await setStatus(store, 'good');
  const fillerPath = join(stateDirectory, 'filler');
  const fill = () => writeFileSync(fillerPath, 'x'.repeat(200_000));
  assert.throws(fill, { code: 'ENOSPC' });
  const full = { code: 'StateNotWritable', message: /ENOSPC.*free some space/ };
  await assert.rejects(setStatus(store, 'x'.repeat(4000)), full);
  assert.equal(messageOf(openReadOnly(stateDirectory)), 'good');
  rmSync(fillerPath);
  await setStatus(store, 'room again');

  execFileSync('mount', ['-o', 'remount,ro', stateDirectory]);
  const readOnly = { code: 'StateNotWritable', message: /EROFS.*read-only/ };
  await assert.rejects(setStatus(store, 'bad'), readOnly);
  execFileSync('mount', ['-o', 'remount,rw', stateDirectory]);
  await setStatus(store, 'writable again');
  assert.equal(messageOf(openReadOnly(stateDirectory)), 'writable again');
  assert.deepEqual(
    readdirSync(join(stateDirectory, 'deployments')).filter((name) => name.endsWith('.tmp')),
    [],
  );
};
