/** A store that writes without pause and prints what was acknowledged, until it is killed. */
import { writeSync } from 'node:fs';
import { openStore } from './fixture.ts';

const [directory = '', stateDirectory = '', from = '0'] = process.argv.slice(2);
const store = await openStore({ directory, stateDirectory });
await store.start(() => {});
const acknowledge = (what: object) => writeSync(1, `${JSON.stringify(what)}\n`);
acknowledge({ epoch: store.epoch() });

for (let count = Number(from); ; count += 1) {
  const { status, metadata, spec } = store.deployment('default', 'a')!;
  await store.updateDeploymentStatus('default', 'a', { ...status, replicas: count });
  acknowledge({ status: count });
  const name = `a-r${count}`;
  const { strategy: _strategy, ...data } = spec;
  await store.createRevision({
    apiVersion: 'espalier.dev/v1alpha1',
    kind: 'ModelDeploymentRevision',
    metadata: {
      name,
      namespace: 'default',
      uid: name,
      generation: 1,
      creationTimestamp: metadata.creationTimestamp,
      ownerReferences: [
        {
          apiVersion: 'espalier.dev/v1alpha1',
          kind: 'ModelDeployment',
          name: 'a',
          uid: metadata.uid,
        },
      ],
    },
    revision: count,
    hash: name,
    hashVersion: 1,
    data,
  });
  acknowledge({ revision: name });
  if (count % 3 === 0) {
    await store.deleteRevision('default', name);
    acknowledge({ gone: name });
  }
  store.recordEvent({
    regarding: { kind: 'ModelDeployment', namespace: 'default', name: 'a' },
    type: 'Normal',
    reason: 'RollingOut',
    message: `count ${count}`,
  });
}
