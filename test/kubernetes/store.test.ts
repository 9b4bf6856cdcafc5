import { after, before } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { createLogger } from '../../src/base/logger.ts';
import { seededRandom } from '../../src/base/random.ts';
import type { ObjectKey, Store } from '../../src/controller/ports.ts';
import { loadSchemas } from '../../src/resources/schemas.ts';
import { createApiClient } from '../../src/store/kubernetes/client.ts';
import { readGroupKey } from '../../src/store/kubernetes/group-key.ts';
import { kinds } from '../../src/store/kubernetes/kinds.ts';
import { becomeLeader } from '../../src/store/kubernetes/leader.ts';
import type { Leadership } from '../../src/store/kubernetes/leader.ts';
import { createKubernetesStore } from '../../src/store/kubernetes/store.ts';
import { createApiConnection } from '../../src/store/kubernetes/transport.ts';
import type { ApiConnection } from '../../src/store/kubernetes/transport.ts';
import { storeConformance } from '../store/conformance.ts';
import type { Manifest, StoreHarness } from '../store/conformance.ts';
import { eventually } from '../support/eventually.ts';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';
import { installCRDs } from './support/kubectl.ts';

const logger = createLogger({ name: 'test', level: 'silent' });
const random = seededRandom(1);
const schemas = loadSchemas();
const clock = systemClock;
const { signal } = new AbortController();

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

const resourceOf = ({ kind }: Pick<ObjectKey, 'kind'>) =>
  kind === 'ClusterNode' ? kinds.nodes : kinds.deployments;

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
  const terms: Leadership[] = [];
  t.after(async () => {
    await terms.at(-1)?.release();
    await clean();
    mine.resolve();
  });
  const lead = async (identity: string): Promise<Leadership> =>
    becomeLeader({ client: newClient(), namespace, identity, clock, random, logger }, signal);
  return {
    open: async (): Promise<Store> => {
      await terms.at(-1)?.release();
      const term = await lead(`replica-${terms.length}`);
      terms.push(term);
      const groupSecretKey = await readGroupKey(client, namespace, term.signal);
      return createKubernetesStore({
        client: newClient(),
        schemas,
        term,
        groupSecretKey,
        clock,
        random,
        logger,
        instance: 'test',
      });
    },
    apply: async ({ kind, metadata, spec }: Manifest) => {
      const object = { apiVersion: 'espalier.dev/v1alpha1', kind, metadata, spec };
      await client.apply(resourceOf({ kind }), object, { fieldManager: 'user' });
    },
    remove: async (key) => client.delete(resourceOf(key), key),
    takeOver: async () => {
      const lease = { namespace, name: 'espalier-operator' };
      await client.patch(kinds.leases, lease, { spec: { holderIdentity: 'another' } });
      await eventually('the term is over', () => terms.at(-1)!.signal.aborted);
    },
  };
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
