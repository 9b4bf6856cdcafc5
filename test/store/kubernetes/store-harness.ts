import type { TestContext } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import { createLogger } from '../../../src/base/logger.ts';
import { seededRandom } from '../../../src/base/random.ts';
import type { ObjectKey } from '../../../src/controller/ports.ts';
import { loadSchemas } from '../../../src/resources/schemas.ts';
import type { ApiClient } from '../../../src/store/kubernetes/client.ts';
import { readGroupKey } from '../../../src/store/kubernetes/group-key.ts';
import { kinds } from '../../../src/store/kubernetes/kinds.ts';
import { becomeLeader } from '../../../src/store/kubernetes/leader.ts';
import type { Leadership } from '../../../src/store/kubernetes/leader.ts';
import { createKubernetesStore } from '../../../src/store/kubernetes/store.ts';
import { eventually } from '../../support/eventually.ts';
import type { StoreHarness } from '../conformance.ts';

const logger = createLogger({ name: 'test', level: 'silent' });
const common = { clock: systemClock, random: seededRandom(1), logger };
const schemas = loadSchemas();

const resourceOf = ({ kind }: Pick<ObjectKey, 'kind'>) =>
  kind === 'ClusterNode' ? kinds.nodes : kinds.deployments;

/** One control plane after another over one API server, with its Lease in a namespace of its own. */
export const kubernetesHarness = (
  t: TestContext,
  namespace: string,
  newClient: () => ApiClient,
): StoreHarness => {
  const { signal } = new AbortController();
  const client = newClient();
  const terms: Leadership[] = [];
  t.after(async () => terms.at(-1)?.release());
  return {
    open: async () => {
      await terms.at(-1)?.release();
      const identity = `replica-${terms.length}`;
      const term = await becomeLeader(
        { ...common, client: newClient(), namespace, identity },
        signal,
      );
      terms.push(term);
      const groupSecretKey = await readGroupKey(client, namespace, term.signal);
      return createKubernetesStore({
        ...common,
        client: newClient(),
        schemas,
        term,
        groupSecretKey,
        instance: 'test',
      });
    },
    apply: async ({ kind, metadata, spec }) => {
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
