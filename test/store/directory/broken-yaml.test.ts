import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { seededRandom } from '../../../src/base/random.ts';
import { openReadOnly } from '../../../src/store/directory/read-only.ts';
import { mutate } from '../../resources/mutations.ts';
import { eventually } from '../../support/eventually.ts';
import { seed } from '../../support/seed.ts';
import { deploymentText, makeFolders, names, nodeText, reasonsOf, startStore } from './fixture.ts';

describe('YAML that breaks', { concurrency: 4 }, () => {
  test('the last good spec stays, across a restart, and is told; a repair takes over', async (t) => {
    const folders = makeFolders(t);
    folders.save('a.yaml', deploymentText('a', '  replicas: 2\n'));
    const { store, told } = await startStore(t, folders);
    const before = store.deployment('default', 'a');
    told.length = 0;
    folders.save('a.yaml', deploymentText('a', '  replcas: 3\n'));
    await eventually('the problem is told', () => told.some(({ name }) => name === 'a'));
    const [problem] = store.problems();
    assert.deepEqual(problem?.key, { kind: 'ModelDeployment', namespace: 'default', name: 'a' });
    assert.equal(problem?.line, 6);
    assert.match(problem?.message ?? '', /did you mean "replicas"/);
    assert.equal(store.deployment('default', 'a'), before);
    assert.ok(reasonsOf(store).includes('SpecInvalid'));
    await store.stop();

    const { store: reopened, told: toldAgain } = await startStore(t, folders);
    assert.deepEqual(reopened.deployment('default', 'a'), before);
    assert.equal(reopened.problems().length, 1);
    toldAgain.length = 0;
    folders.save('a.yaml', deploymentText('a', '  replicas: 3\n'));
    await eventually('the repair is told', () => toldAgain.length > 0);
    assert.deepEqual(reopened.problems(), []);
    const after = reopened.deployment('default', 'a');
    assert.deepEqual([after?.spec.replicas, after?.metadata.generation], [3, 2]);
    assert.ok(reasonsOf(reopened).includes('SpecValid'));
  });

  test('a document that vanishes from a valid file is deleted, from an unreadable one it is kept', async (t) => {
    const folders = makeFolders(t);
    const file = (...texts: string[]) => folders.save('all.yaml', texts.join('---\n'));
    file(deploymentText('a'), deploymentText('b'), nodeText('n'));
    const { store } = await startStore(t, folders);
    file(deploymentText('a'), 'kind: "ModelDeployment\n', nodeText('n2'));
    await eventually('the good document is served', () => store.node('n2'));
    const kept = await eventually('b is kept, with a problem', () =>
      store.problems().find(({ key }) => key?.name === 'b'),
    );
    assert.match(kept.message, /kept as it was: all\.yaml could not be read as a whole/);
    assert.deepEqual(names(store.deployments()), ['a', 'b']);
    file(deploymentText('a'), nodeText('n2'));
    await eventually('b is gone', () => names(store.deployments()).join() === 'a');
    await eventually('n is gone', () => names(store.nodes()).join() === 'n2');
    await eventually('the problems are over', () => store.problems().length === 0);
  });

  test('a document that is invalid but names itself does not keep its neighbours', async (t) => {
    const folders = makeFolders(t);
    folders.save('all.yaml', `${deploymentText('a')}---\n${deploymentText('b')}`);
    const { store } = await startStore(t, folders);
    folders.save('all.yaml', deploymentText('a', '  replicas: -1\n'));
    await eventually('b is gone', () => names(store.deployments()).join() === 'a');
    assert.equal(store.deployment('default', 'a')?.spec.replicas, 1);
  });
});

describe('YAML that is lost, doubled or read later', { concurrency: 4 }, () => {
  test('a file that was emptied by accident keeps its objects', async (t) => {
    const folders = makeFolders(t);
    folders.save('a.yaml', deploymentText('a'));
    const { store } = await startStore(t, folders);
    folders.save('a.yaml', '');
    await eventually('the problem is told', () => store.problems().length > 0);
    assert.deepEqual(names(store.deployments()), ['a']);
  });

  test('a second document of one name is a problem, and the first stays who it is', async (t) => {
    const folders = makeFolders(t);
    folders.save('b.yaml', deploymentText('same'));
    const { store } = await startStore(t, folders);
    const before = store.deployment('default', 'same');
    // Sorts before the file that has the name.
    folders.save('a.yaml', deploymentText('same', '  replicas: 5\n'));
    const problem = await eventually('the problem is told', () => store.problems()[0]);
    assert.equal(problem.file, join(folders.directory, 'a.yaml'));
    assert.equal(store.deployment('default', 'same'), before);
  });

  test('problems can be read without the control plane', async (t) => {
    const folders = makeFolders(t);
    folders.save('a.yaml', 'kind: [');
    folders.save('b.yaml', deploymentText('b'));
    const { store } = await startStore(t, folders);
    await store.stop();
    const view = openReadOnly(folders.stateDirectory);
    assert.deepEqual(view.problems(), []);
    assert.deepEqual(names(view.deployments()), ['b']);
    assert.deepEqual(view.events(), store.events());
  });

  test('200 malformed files: each is named or still valid, and the good ones are served', async (t) => {
    const random = seededRandom(seed);
    const folders = makeFolders(t);
    const good = readFileSync(new URL('../../resources/good/full.yaml', import.meta.url), 'utf8');
    const [document = ''] = good.split('---\n');
    for (let index = 0; index < 200; index += 1) {
      const text = document
        .replace('name: deepseek', `name: case-${index}`)
        .replace(/owner: .*/, `owner: case-${index}`);
      const { content } = mutate(text, random);
      writeFileSync(join(folders.directory, `bad-${index}.yaml`), content);
      if (index % 10 === 0) folders.save(`good-${index}.yaml`, nodeText(`good-${index}`));
    }
    const { store } = await startStore(t, folders);
    assert.equal(store.nodes().length, 20, `seed ${seed}`);
    const problemFiles = new Set(store.problems().map(({ file }) => file));
    // One mutation cannot change both.
    const served = new Set(
      store
        .deployments()
        .flatMap(({ metadata }) => [metadata.name, ...Object.values(metadata.annotations ?? {})]),
    );
    for (let index = 0; index < 200; index += 1) {
      const file = join(folders.directory, `bad-${index}.yaml`);
      const isKnown = problemFiles.has(file) || served.has(`case-${index}`);
      const isBlank = /^(\s*#.*|\s*)*$/.test(readFileSync(file, 'utf8'));
      assert.ok(isKnown || isBlank, `seed ${seed}: ${readFileSync(file, 'utf8')}`);
    }
    assert.ok(problemFiles.size > 100, `seed ${seed}: only ${problemFiles.size} files are wrong`);
  });
});
