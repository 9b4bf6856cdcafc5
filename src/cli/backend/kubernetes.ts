import { randomInt } from 'node:crypto';
import { systemClock } from '../../base/clock.ts';
import { EspalierError } from '../../base/errors.ts';
import { seededRandom } from '../../base/random.ts';
import type { StoredEvent } from '../../controller/ports.ts';
import { defaultNamespace } from '../../resources/metadata.ts';
import { loadSchemas } from '../../resources/schemas.ts';
import type {
  ClusterNode,
  ModelDeployment,
  ModelDeploymentRevision,
} from '../../resources/types.ts';
import { createApiClient } from '../../store/kubernetes/client.ts';
import type { ApiClient } from '../../store/kubernetes/client.ts';
import { kinds } from '../../store/kubernetes/kinds.ts';
import type { ApiObject, ApiResource } from '../../store/kubernetes/objects.ts';
import { createApiConnection } from '../../store/kubernetes/transport.ts';
import type { BackendOptions } from './choose.ts';
import type { Backend } from './backend.ts';
import { eventsFrom } from './kubernetes-events.ts';
import { proposeOnServer } from './kubernetes-edit.ts';

/** Of each request with its retries: somebody waits at a terminal. */
const deadlineMs = 10_000;

/**
 * The control plane of kubectl's context, or of the one named. Its idle sockets do not keep the process alive.
 * Throws KubeconfigInvalid.
 */
export const openKubernetesBackend = ({ kubeconfig, context }: BackendOptions): Backend => {
  const connection = createApiConnection({ kubeconfig, context, userAgent: 'espalier-cli' });
  const { transport, server, namespace: ownNamespace } = connection;
  const random = seededRandom(randomInt(2 ** 32));
  const client = createApiClient({ transport, clock: systemClock, random });
  const nodes = async (): Promise<ClusterNode[]> => list(client, kinds.nodes, undefined);
  return {
    kind: 'kubernetes',
    place: `the API server ${server}`,
    defaultNamespace: ownNamespace ?? defaultNamespace,
    deployments: async (namespace) => list<ModelDeployment>(client, kinds.deployments, namespace),
    nodes: async () => nodes().catch(nothingIfHidden),
    revisions: async (namespace) => {
      const found = await client.list<ApiObject>(kinds.revisions, { namespace, deadlineMs });
      return found.items as unknown as ModelDeploymentRevision[];
    },
    events: async (namespace) => {
      const found = await client
        .list<ApiObject>(kinds.events, { namespace, deadlineMs })
        .then(({ items }) => items, nothingIfHidden);
      return eventsFrom(found).toSorted(byTime);
    },
    problems: async () => [],
    reports: async () => undefined,
    propose: async (edit) => proposeOnServer({ client, transport, random }, edit),
  };
};

const list = async <T extends ModelDeployment | ClusterNode>(
  client: ApiClient,
  resource: ApiResource,
  namespace: string | undefined,
): Promise<T[]> => {
  const { items } = await client.list<ApiObject>(resource, { namespace, deadlineMs });
  return items.map((object) => withDefaults(object as unknown as T));
};

/** A status from before the controller's first look has nothing but its generation. */
const withDefaults = <T extends ModelDeployment | ClusterNode>(object: T): T => {
  const status = loadSchemas().defaultField(object.kind, 'status', object.status ?? {});
  return { ...object, status };
};

/** Whoever may see deployments need not be allowed to see nodes and events: those are extras. */
const nothingIfHidden = (error: unknown): never[] => {
  const isHidden =
    error instanceof EspalierError && ['ApiForbidden', 'ApiResourceMissing'].includes(error.code);
  if (isHidden) return [];
  throw error;
};

const byTime = (left: StoredEvent, right: StoredEvent): number =>
  left.lastTimestamp < right.lastTimestamp ? -1 : 1;
