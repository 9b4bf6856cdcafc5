import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { ObjectKey, Store } from '../../src/controller/ports.ts';
import { revisionedFields, revisionHash, revisionName } from '../../src/resources/revision.ts';
import type { ModelDeployment, ModelDeploymentRevision } from '../../src/resources/types.ts';
import { eventually } from '../support/eventually.ts';

/** What a user writes. */
export interface Manifest {
  kind: ObjectKey['kind'];
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  spec: Record<string, unknown>;
}

/** A backing that outlives the stores over it. */
export interface StoreHarness {
  /** A store that is not started, over the same backing as the last one, which was stopped or abandoned. */
  open(): Promise<Store>;
  /** The user creates or replaces an object. */
  apply(manifest: Manifest): Promise<void>;
  /** The user deletes an object. */
  remove(key: ObjectKey): Promise<void>;
  /** A newer control plane takes over from the store that is open. */
  takeOver(): Promise<void>;
}

const finalizer = 'espalier.dev/ranks';
const key = (name: string): ObjectKey => ({ kind: 'ModelDeployment', namespace: 'default', name });
const deployment = (name: string, spec: Record<string, unknown> = {}): Manifest => ({
  kind: 'ModelDeployment',
  metadata: { name, namespace: 'default' },
  spec: { model: { uri: 'file:///models/sprout' }, ...spec },
});
const node = (name: string): Manifest => ({ kind: 'ClusterNode', metadata: { name }, spec: {} });

/** Every store passes these tests. `harness` makes an empty backing, which goes with the test. */
export const storeConformance = (
  name: string,
  harness: (t: TestContext) => Promise<StoreHarness>,
): void => {
  describe(`${name} conforms to Store`, { concurrency: 4 }, () => {
    objectTests(harness);
    statusTests(harness);
    deletionTests(harness);
    revisionTests(harness);
    controlPlaneTests(harness);
  });
};

type Harness = (t: TestContext) => Promise<StoreHarness>;

/** A store that runs until the test ends, and the keys that it told of. */
const started = async (t: TestContext, backing: StoreHarness) => {
  const store = await backing.open();
  t.after(() => store.stop());
  const told: ObjectKey[] = [];
  await store.start((changed) => told.push(changed));
  return { store, told };
};

const waitFor = (store: Store, name: string, check: (object: ModelDeployment) => boolean) =>
  eventually(`${name} is as wanted`, () => {
    const object = store.deployment('default', name);
    return object && check(object) ? object : undefined;
  });

const objectTests = (harness: Harness): void => {
  test('the view is complete once start has resolved', async (t) => {
    const backing = await harness(t);
    await backing.apply(deployment('a'));
    await backing.apply(node('mini-1'));
    const { store, told } = await started(t, backing);
    assert.deepEqual(store.deployments().length, 1);
    assert.deepEqual(store.nodes().length, 1);
    assert.equal(store.node('mini-1')?.spec.nodeLostToleranceSeconds, 40);
    assert.deepEqual(told.map(({ name }) => name).toSorted(), ['a', 'mini-1']);
    assert.deepEqual(store.problems(), []);
  });

  test('a new object is defaulted, named, numbered and not observed', async (t) => {
    const backing = await harness(t);
    const { store, told } = await started(t, backing);
    await backing.apply(deployment('a'));
    const { metadata, spec, status } = await waitFor(store, 'a', () => true);
    assert.ok(metadata.uid.length > 8);
    assert.equal(metadata.generation, 1);
    assert.ok(Date.parse(metadata.creationTimestamp) > 0);
    assert.equal(spec.runtime.contextLength, 4096);
    assert.equal(status.observedGeneration, -1);
    assert.deepEqual(status.conditions, []);
    await eventually('the listener is told', () => told.some((changed) => changed.name === 'a'));
  });

  test('generation counts changes of the defaulted spec and nothing else', async (t) => {
    const backing = await harness(t);
    await backing.apply(deployment('a'));
    const { store } = await started(t, backing);
    const first = await waitFor(store, 'a', () => true);
    const labelled = deployment('a', { replicas: 1, runtime: { contextLength: 4096 } });
    labelled.metadata.labels = { team: 'x' };
    await backing.apply(labelled);
    const second = await waitFor(store, 'a', (object) => object.metadata.labels?.['team'] === 'x');
    assert.equal(second.metadata.generation, 1);
    await backing.apply(deployment('a', { replicas: 2 }));
    const third = await waitFor(store, 'a', (object) => object.spec.replicas === 2);
    assert.equal(third.metadata.generation, 2);
    assert.equal(third.metadata.labels, undefined);
    assert.equal(third.metadata.uid, first.metadata.uid);
    assert.equal(third.metadata.creationTimestamp, first.metadata.creationTimestamp);
  });

  test('objects cannot be changed in place', async (t) => {
    const backing = await harness(t);
    await backing.apply(deployment('a'));
    const { store } = await started(t, backing);
    const object = await waitFor(store, 'a', () => true);
    assert.throws(() => (object.spec.runtime.contextLength = 1), TypeError);
    assert.throws(() => object.status.conditions.push({} as never), TypeError);
  });
};

const statusTests = (harness: Harness): void => {
  test('status is durable and changes neither generation nor spec', async (t) => {
    const backing = await harness(t);
    await backing.apply(deployment('a'));
    await backing.apply(node('mini-1'));
    const { store } = await started(t, backing);
    const before = await waitFor(store, 'a', () => true);
    const status = { ...before.status, observedGeneration: 1, replicas: 1 };
    await store.updateDeploymentStatus('default', 'a', status);
    const nodeStatus = { ...store.node('mini-1')!.status, observedGeneration: 1 };
    await store.updateNodeStatus('mini-1', nodeStatus);
    const after = await waitFor(store, 'a', (object) => object.status.replicas === 1);
    assert.deepEqual([after.metadata, after.spec], [before.metadata, before.spec]);
    await store.stop();
    const { store: reopened } = await started(t, backing);
    assert.deepEqual(reopened.deployment('default', 'a')?.status, status);
    assert.deepEqual(reopened.node('mini-1')?.status, nodeStatus);
    assert.equal(reopened.deployment('default', 'a')?.metadata.uid, before.metadata.uid);
  });

  test('a status beyond the bounds of its schema is cut or refused', async (t) => {
    const backing = await harness(t);
    await backing.apply(deployment('a'));
    const { store } = await started(t, backing);
    const { status } = await waitFor(store, 'a', () => true);
    const condition = {
      type: 'Ready',
      status: 'False',
      observedGeneration: 1,
      lastTransitionTime: '2026-11-23T00:00:00Z',
      reason: 'GroupFailed',
      message: 'm'.repeat(5000),
    } as const;
    await store.updateDeploymentStatus('default', 'a', { ...status, conditions: [condition] });
    const after = await waitFor(store, 'a', (object) => object.status.conditions.length === 1);
    assert.equal(after.status.conditions[0]?.message.length, 4096);
    const wrong = { ...condition, reason: 'two words' };
    await assert.rejects(
      store.updateDeploymentStatus('default', 'a', { ...status, conditions: [wrong] }),
      /status\.conditions\[0\]\.reason/,
    );
  });

  test('the status of an object that is not there is refused', async (t) => {
    const backing = await harness(t);
    await backing.apply(deployment('a'));
    const { store } = await started(t, backing);
    const { status } = await waitFor(store, 'a', () => true);
    await assert.rejects(store.updateDeploymentStatus('default', 'b', status), {
      code: 'ObjectNotFound',
    });
  });
};

const deletionTests = (harness: Harness): void => {
  test('an object without finalizer goes when the user deletes it', async (t) => {
    const backing = await harness(t);
    await backing.apply(deployment('a'));
    const { store, told } = await started(t, backing);
    await waitFor(store, 'a', () => true);
    told.length = 0;
    await backing.remove(key('a'));
    await eventually('a is gone', () => store.deployment('default', 'a') === undefined);
    await eventually('the listener is told', () => told.some(({ name }) => name === 'a'));
  });

  test('an object with a finalizer stays, marked, until the last one is removed', async (t) => {
    const backing = await harness(t);
    await backing.apply(deployment('a'));
    const { store, told } = await started(t, backing);
    await waitFor(store, 'a', () => true);
    await store.addFinalizer(key('a'), finalizer);
    await store.addFinalizer(key('a'), 'espalier.dev/other');
    await backing.remove(key('a'));
    await waitFor(store, 'a', ({ metadata }) => metadata.deletionTimestamp !== undefined);
    await assert.rejects(store.addFinalizer(key('a'), 'espalier.dev/late'));
    await store.removeFinalizer(key('a'), 'espalier.dev/other');
    assert.deepEqual(store.deployment('default', 'a')?.metadata.finalizers, [finalizer]);
    told.length = 0;
    await store.removeFinalizer(key('a'), finalizer);
    await eventually('a is gone', () => store.deployment('default', 'a') === undefined);
    await eventually('the listener is told', () => told.some(({ name }) => name === 'a'));
  });

  test('a deletion that was begun survives a restart', async (t) => {
    const backing = await harness(t);
    await backing.apply(deployment('a'));
    const { store } = await started(t, backing);
    await waitFor(store, 'a', () => true);
    await store.addFinalizer(key('a'), finalizer);
    await store.stop();
    await backing.remove(key('a'));
    const { store: reopened } = await started(t, backing);
    await waitFor(reopened, 'a', ({ metadata }) => metadata.deletionTimestamp !== undefined);
    await reopened.removeFinalizer(key('a'), finalizer);
    await eventually('a is gone', () => reopened.deployment('default', 'a') === undefined);
  });

  test('an object that is written again after its deletion is another object', async (t) => {
    const backing = await harness(t);
    await backing.apply(deployment('a'));
    const { store } = await started(t, backing);
    const old = await waitFor(store, 'a', () => true);
    await store.addFinalizer(key('a'), finalizer);
    await backing.remove(key('a'));
    await waitFor(store, 'a', ({ metadata }) => metadata.deletionTimestamp !== undefined);
    await store.removeFinalizer(key('a'), finalizer);
    await eventually('a is gone', () => store.deployment('default', 'a') === undefined);
    await backing.apply(deployment('a'));
    const anew = await waitFor(store, 'a', () => true);
    assert.notEqual(anew.metadata.uid, old.metadata.uid);
    assert.equal(anew.metadata.generation, 1);
    assert.equal(anew.metadata.finalizers, undefined);
  });
};

const revisionOf = (object: ModelDeployment, number: number): ModelDeploymentRevision => {
  const data = { ...revisionedFields(object.spec), objective: objectives[number % 4]! };
  const hash = revisionHash(data);
  return {
    apiVersion: 'espalier.dev/v1alpha1',
    kind: 'ModelDeploymentRevision',
    metadata: {
      name: revisionName(object.metadata.name, hash),
      namespace: 'default',
      uid: `${object.metadata.uid}-${number}`,
      generation: 1,
      creationTimestamp: object.metadata.creationTimestamp,
      ownerReferences: [
        {
          apiVersion: object.apiVersion,
          kind: object.kind,
          name: object.metadata.name,
          uid: object.metadata.uid,
        },
      ],
    },
    revision: number,
    hash,
    hashVersion: 1,
    data,
  };
};

const objectives = [
  'TimeToFirstToken',
  'SustainedThroughput',
  'SingleStream',
  'Efficiency',
] as const;

const numbers = (store: Store): number[] =>
  store.revisions('default', 'a').map(({ revision }) => revision);

const revisionTests = (harness: Harness): void => {
  test('revisions are durable, of one deployment, and in order', async (t) => {
    const backing = await harness(t);
    await backing.apply(deployment('a'));
    await backing.apply(deployment('b'));
    const { store } = await started(t, backing);
    const a = await waitFor(store, 'a', () => true);
    const [first, second] = [revisionOf(a, 1), revisionOf(a, 2)];
    await store.createRevision(second);
    await store.createRevision(first);
    await store.createRevision(revisionOf(await waitFor(store, 'b', () => true), 1));
    assert.deepEqual(numbers(store), [1, 2]);
    await store.renumberRevision('default', first.metadata.name, 3);
    await store.stop();
    const { store: reopened } = await started(t, backing);
    assert.deepEqual(numbers(reopened), [2, 3]);
    assert.deepEqual(reopened.revisions('default', 'a')[1]?.data, first.data);
    await reopened.deleteRevision('default', second.metadata.name);
    assert.deepEqual(numbers(reopened), [3]);
    assert.equal(reopened.revisions('default', 'b').length, 1);
  });

  test('revisions go with their deployment', async (t) => {
    const backing = await harness(t);
    await backing.apply(deployment('a'));
    const { store } = await started(t, backing);
    await store.createRevision(revisionOf(await waitFor(store, 'a', () => true), 1));
    await backing.remove(key('a'));
    await eventually('a is gone', () => store.deployment('default', 'a') === undefined);
    await backing.apply(deployment('a'));
    await waitFor(store, 'a', () => true);
    assert.deepEqual(store.revisions('default', 'a'), []);
  });
};

const controlPlaneTests = (harness: Harness): void => {
  test('equal events are one event with a count', async (t) => {
    const backing = await harness(t);
    const { store } = await started(t, backing);
    const event = {
      regarding: key('a'),
      type: 'Normal',
      reason: 'GroupReady',
      message: 'm',
    } as const;
    store.recordEvent(event);
    store.recordEvent(event);
    store.recordEvent({ ...event, message: 'n' });
    await eventually('both are listed', () => {
      const ours = store.events().filter(({ reason }) => reason === 'GroupReady');
      return ours.length === 2 && ours.some(({ message, count }) => message === 'm' && count === 2);
    });
    await store.stop();
    const { store: reopened } = await started(t, backing);
    assert.equal(reopened.events().find(({ message }) => message === 'm')?.count, 2);
  });

  test('the epoch goes up with every start, and the group key stays', async (t) => {
    const backing = await harness(t);
    const { store } = await started(t, backing);
    const [epoch, secret] = [store.epoch(), store.groupSecretKey()];
    assert.equal(secret.length, 32);
    await store.stop();
    const { store: reopened } = await started(t, backing);
    assert.ok(reopened.epoch() > epoch);
    assert.deepEqual(reopened.groupSecretKey(), secret);
  });

  test('a control plane that was taken over from can write nothing more', async (t) => {
    const backing = await harness(t);
    await backing.apply(deployment('a'));
    const { store } = await started(t, backing);
    const { status } = await waitFor(store, 'a', () => true);
    await backing.takeOver();
    const newStatus = { ...status, replicas: 9 };
    const fenced = { code: 'EpochFenced' };
    await assert.rejects(store.updateDeploymentStatus('default', 'a', newStatus), fenced);
    await assert.rejects(store.addFinalizer(key('a'), finalizer), fenced);
    assert.equal(store.deployment('default', 'a')?.status.replicas, 0);
  });
};
