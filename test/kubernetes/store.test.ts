import { after, before } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { seededRandom } from '../../src/base/random.ts';
import { createApiClient } from '../../src/store/kubernetes/client.ts';
import { kinds } from '../../src/store/kubernetes/kinds.ts';
import { createApiConnection } from '../../src/store/kubernetes/transport.ts';
import type { ApiConnection } from '../../src/store/kubernetes/transport.ts';
import { storeConformance } from '../store/conformance.ts';
import type { StoreHarness } from '../store/conformance.ts';
import { kubernetesHarness } from '../store/kubernetes/store-harness.ts';
import { eventually } from '../support/eventually.ts';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';
import { installCRDs } from './support/kubectl.ts';

const random = seededRandom(1);
const clock = systemClock;

let server: ApiServer;
let connection: ApiConnection;
before(async () => {
  server = await startApiServer();
  await installCRDs(server);
  connection = createApiConnection({ kubeconfig: server.kubeconfigPath });
});
after(async () => {
  await connection.close();
  await server.stop();
});

const newClient = () => createApiClient({ transport: connection.transport, clock, random });

/** The tests all use the same names, and ClusterNodes have no namespace: one at a time. */
let turn: Promise<unknown> = Promise.resolve();
let count = 0;

const harness = async (t: TestContext): Promise<StoreHarness> => {
  const mine = Promise.withResolvers<void>();
  const before = turn;
  turn = mine.promise;
  await before;
  count += 1;
  const namespace = `system-${count}`;
  const client = newClient();
  const namespaces = { group: '', version: 'v1', plural: 'namespaces', isNamespaced: false };
  await client.apply(namespaces, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace },
  });
  t.after(async () => {
    await clean();
    mine.resolve();
  });
  return kubernetesHarness(t, namespace, newClient);
};

const clean = async (): Promise<void> => {
  const client = newClient();
  for (const resource of [kinds.deployments, kinds.nodes, kinds.revisions]) {
    for (const { metadata } of (await client.list(resource)).items) {
      if (metadata.finalizers)
        await client.patch(resource, metadata, { metadata: { finalizers: null } });
      await client.delete(resource, metadata).catch(() => undefined);
    }
    await eventually(
      'nothing is left',
      async () => (await client.list(resource)).items.length === 0,
    );
  }
};

storeConformance('the Kubernetes store', harness);
