import assert from 'node:assert/strict';
import {
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { offsetClock } from '../../support/offset-clock.ts';
import {
  deploymentText,
  makeFolders,
  names,
  nodeText,
  openStore,
  reasonsOf,
  startStore,
} from './fixture.ts';

const setup = async (t: TestContext, files: Record<string, string>) => {
  const folders = makeFolders(t);
  for (const [file, text] of Object.entries(files)) folders.save(file, text);
  const { store, told } = await startStore(t, folders);
  const replicas = (name: string) => store.deployment('default', name)?.spec.replicas;
  return { folders, store, told, replicas };
};

describe('watching a directory', { concurrency: 4 }, () => {
  test('comments, key order, formatting and explicit defaults change nothing', async (t) => {
    const { folders, store } = await setup(t, { 'a.yaml': deploymentText('a') });
    const before = store.deployment('default', 'a');
    folders.save(
      'a.yaml',
      `# why\nkind: ModelDeployment\nspec: {replicas: 1, model: {servedNames: [], uri: 'file:///models/sprout'}}\nmetadata:\n    name: a\napiVersion: espalier.dev/v1alpha1\n---\n${nodeText('marker')}`,
    );
    await eventually('the file is read', () => store.node('marker'));
    assert.equal(store.deployment('default', 'a'), before);
  });

  test('an edit that is written in place, or by unlink and add, is an update', async (t) => {
    const { folders, store, replicas } = await setup(t, { 'a.yaml': deploymentText('a') });
    const { uid } = store.deployment('default', 'a')!.metadata;
    const path = join(folders.directory, 'a.yaml');
    writeFileSync(path, deploymentText('a', '  replicas: 2\n'));
    await eventually('the edit is seen', () => replicas('a') === 2);
    unlinkSync(path);
    writeFileSync(path, deploymentText('a', '  replicas: 3\n'));
    await eventually('the edit is seen', () => replicas('a') === 3);
    assert.equal(store.deployment('default', 'a')?.metadata.uid, uid);
    assert.equal(store.deployment('default', 'a')?.metadata.generation, 3);
  });

  test('a document that is back before its object is gone makes a new object afterwards', async (t) => {
    const { folders, store } = await setup(t, { 'a.yaml': deploymentText('a') });
    const key = { kind: 'ModelDeployment', namespace: 'default', name: 'a' } as const;
    const old = () => store.deployment('default', 'a')?.metadata;
    const { uid } = old()!;
    await store.addFinalizer(key, 'espalier.dev/ranks');
    rmSync(join(folders.directory, 'a.yaml'));
    await eventually('a is being deleted', () => old()?.deletionTimestamp);
    folders.save('a.yaml', deploymentText('a', '  replicas: 2\n'));
    folders.save('marker.yaml', nodeText('marker'));
    await eventually('the file is read', () => store.node('marker'));
    assert.equal(old()?.uid, uid);
    await store.removeFinalizer(key, 'espalier.dev/ranks');
    const anew = await eventually('a is back', () => store.deployment('default', 'a'));
    assert.notEqual(anew.metadata.uid, uid);
    assert.deepEqual([anew.metadata.generation, anew.spec.replicas], [1, 2]);
  });

  test('a document that moves to another file stays the same object', async (t) => {
    const { folders, store } = await setup(t, { 'a.yaml': deploymentText('a') });
    const before = store.deployment('default', 'a');
    mkdirSync(join(folders.directory, 'team'));
    renameSync(join(folders.directory, 'a.yaml'), join(folders.directory, 'team', 'moved.yml'));
    folders.save('marker.yaml', nodeText('marker'));
    await eventually('the move is seen', () => store.node('marker'));
    assert.deepEqual(store.deployment('default', 'a')?.metadata, before?.metadata);
    // Whoever breaks the new file must not lose the object.
    folders.save('team/moved.yml', 'kind: [');
    await eventually('the problem is seen', () => store.problems().length > 0);
    assert.deepEqual(store.deployment('default', 'a')?.metadata, before?.metadata);
  });
});

describe('machinery that replaces files', { concurrency: 4 }, () => {
  test('a swap of the ..data link, as in a mounted ConfigMap, is an update', async (t) => {
    const folders = makeFolders(t);
    const { directory } = folders;
    folders.save('..v1/a.yaml', deploymentText('a'));
    symlinkSync('..v1', join(directory, '..data'));
    symlinkSync(join('..data', 'a.yaml'), join(directory, 'a.yaml'));
    // The periodic rescan would find it too; this is about the event.
    const { store } = await startStore(t, folders, { rescanMs: 600_000 });
    assert.deepEqual(names(store.deployments()), ['a']);
    folders.save('..v2/a.yaml', deploymentText('a', '  replicas: 2\n'));
    symlinkSync('..v2', join(directory, '..data_tmp'));
    renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
    rmSync(join(directory, '..v1'), { recursive: true });
    await eventually(
      'the swap is seen',
      () => store.deployment('default', 'a')?.spec.replicas === 2,
    );
  });

  test('a checkout that removes and makes every file anew deletes nothing', async (t) => {
    const files = Object.fromEntries(
      Array.from({ length: 20 }, (_, index) => [`d/${index}.yaml`, deploymentText(`d${index}`)]),
    );
    const { folders, store } = await setup(t, files);
    const uids = () => store.deployments().map(({ metadata }) => metadata.uid);
    const before = uids();
    assert.equal(before.length, 20);
    rmSync(join(folders.directory, 'd'), { recursive: true });
    for (const [file, text] of Object.entries(files)) folders.save(file, text);
    folders.save('marker.yaml', nodeText('marker'));
    await eventually('the checkout is seen', () => store.node('marker'));
    assert.deepEqual(uids(), before);
    assert.ok(!reasonsOf(store).includes('Deleted'));
  });
});

describe('a directory that goes or is swapped', { concurrency: 4 }, () => {
  test('while other files still change, as in a long checkout, nothing is deleted', async (t) => {
    const folders = makeFolders(t);
    folders.save('a.yaml', deploymentText('a'));
    const clock = offsetClock();
    const store = await openStore(folders, { rescanMs: 50, deletionGraceMs: 60_000 }, clock);
    t.after(() => store.stop());
    await store.start(() => {});
    rmSync(join(folders.directory, 'a.yaml'));
    for (const marker of ['one', 'two', 'three']) {
      folders.save(`${marker}.yaml`, nodeText(marker));
      await eventually(`${marker} is read`, () => store.node(marker));
      assert.deepEqual(names(store.deployments()), ['a']);
      clock.advance(59_000);
    }
    clock.advance(60_000);
    await eventually('a is gone', () => store.deployments().length === 0);
  });

  test('when the directory vanishes, objects stay and a problem says so, until it is back', async (t) => {
    const { folders, store, replicas } = await setup(t, { 'a.yaml': deploymentText('a') });
    const { directory } = folders;
    renameSync(directory, `${directory}.away`);
    const [problem] = await eventually('the problem is told', () => {
      const problems = store.problems();
      return problems.length > 0 ? problems : undefined;
    });
    assert.match(problem!.message, /watched directory is gone.*ENOENT/);
    assert.deepEqual(names(store.deployments()), ['a']);
    renameSync(`${directory}.away`, directory);
    await eventually('it is back', () => store.problems().length === 0);
    folders.save('a.yaml', deploymentText('a', '  replicas: 2\n'));
    await eventually('edits are seen again', () => replicas('a') === 2);
    assert.ok(reasonsOf(store).includes('WatchedDirectoryMissing'));
    assert.ok(reasonsOf(store).includes('WatchedDirectoryRestored'));
  });

  test('an empty directory in its place, as after an unmount, deletes nothing, also after a restart', async (t) => {
    const { folders, store, replicas } = await setup(t, { 'a.yaml': deploymentText('a') });
    const { directory } = folders;
    renameSync(directory, `${directory}.away`);
    mkdirSync(directory);
    await eventually('the problem is told', () => store.problems().length > 0);
    await store.stop();
    const { store: reopened } = await startStore(t, folders);
    assert.match(reopened.problems()[0]!.message, /replaced by an empty directory/);
    assert.deepEqual(names(reopened.deployments()), ['a']);
    // A new checkout in its place is taken up, and watched.
    folders.save('a.yaml', deploymentText('a', '  replicas: 2\n'));
    await eventually(
      'it is taken up',
      () => reopened.deployment('default', 'a')?.spec.replicas === 2,
    );
    await eventually('the problem is over', () => reopened.problems().length === 0);
    assert.equal(replicas('a'), 1);
  });
});

describe('a directory that comes, empties or is left', { concurrency: 4 }, () => {
  test('a directory that was swapped for another one is watched on', async (t) => {
    const { folders, replicas } = await setup(t, { 'a.yaml': deploymentText('a') });
    const { directory } = folders;
    renameSync(directory, `${directory}.old`);
    folders.save('a.yaml', deploymentText('a', '  replicas: 2\n'));
    await eventually('the new one is read', () => replicas('a') === 2);
    folders.save('a.yaml', deploymentText('a', '  replicas: 3\n'));
    await eventually('the new one is watched', () => replicas('a') === 3);
  });

  test('a directory that was emptied in place, or while nobody watched, was meant to be', async (t) => {
    const { folders, store } = await setup(t, {
      'a.yaml': deploymentText('a'),
      'b.yaml': deploymentText('b'),
    });
    rmSync(join(folders.directory, 'a.yaml'));
    await eventually('a is gone', () => names(store.deployments()).join() === 'b');
    await store.stop();
    rmSync(join(folders.directory, 'b.yaml'));
    const { store: reopened } = await startStore(t, folders);
    await eventually('b is gone', () => reopened.deployments().length === 0);
  });

  test('a directory that does not exist yet is taken up when it comes', async (t) => {
    const folders = makeFolders(t);
    rmSync(folders.directory, { recursive: true });
    const { store } = await startStore(t, folders);
    assert.equal(store.problems().length, 1);
    folders.save('a.yaml', deploymentText('a'));
    await eventually('it is taken up', () => store.deployment('default', 'a'));
    await eventually('the problem is over', () => store.problems().length === 0);
  });

  test('a store that has stopped leaves no lock and hears nothing more', async (t) => {
    const { folders, store } = await setup(t, { 'a.yaml': deploymentText('a') });
    await store.stop();
    folders.save('b.yaml', deploymentText('b'));
    assert.ok(!readdirSync(folders.stateDirectory).includes('lock'));
    const { store: reopened } = await startStore(t, folders);
    assert.deepEqual(names(reopened.deployments()), ['a', 'b']);
    assert.deepEqual(names(store.deployments()), ['a']);
  });
});
