import { sameContent } from '../../base/canonical-json.ts';
import { EspalierError } from '../../base/errors.ts';
import type { ModelDeploymentRevision } from '../../resources/types.ts';
import { changeObject, isCode } from './change-object.ts';
import type { ApiClient } from './client.ts';
import { kinds } from './kinds.ts';
import type { StoredRevision } from './kinds.ts';
import { keyOfName } from './objects.ts';
import type { ObjectName } from './objects.ts';
import type { Reflector } from './reflector.ts';

/** Revisions as objects that deployments own; the garbage collector takes them with their deployment. */
export interface Revisions {
  /** In order of their numbers. */
  ownedBy(uid: string): ModelDeploymentRevision[];
  create(revision: ModelDeploymentRevision): Promise<void>;
  renumber(name: ObjectName, revision: number): Promise<void>;
  delete(name: ObjectName): Promise<void>;
}

export const createRevisions = (options: {
  client: ApiClient;
  reflector: Reflector<StoredRevision>;
  signal: AbortSignal;
  /** Whether a deployment with this uid is there. */
  isAlive: (uid: string) => boolean;
}): Revisions => {
  const { client, reflector, signal, isAlive } = options;

  const remove = async ({ metadata }: StoredRevision): Promise<void> => {
    const { namespace, name, uid, finalizers = [] } = metadata;
    await client
      .delete(kinds.revisions, { namespace, name }, { uid, signal })
      .catch((error: unknown) => {
        if (!isCode(error, 'ObjectNotFound')) throw error;
      });
    if (finalizers.length === 0) reflector.forget(keyOfName(metadata), uid);
  };

  const create = async (revision: ModelDeploymentRevision, attempt = 1): Promise<void> => {
    try {
      reflector.absorb(
        await client.create<StoredRevision>(kinds.revisions, asWritten(revision), { signal }),
      );
      return;
    } catch (error) {
      if (!isCode(error, 'ObjectConflict') || attempt > 2) throw error;
    }
    // Ours, from an attempt whose answer was lost; or one that a deployment of the same name left behind.
    const there = await client.get<StoredRevision>(kinds.revisions, revision.metadata, { signal });
    reflector.absorb(there);
    if (isSame(there, revision)) return;
    if (there.metadata.ownerReferences?.some(({ uid }) => isAlive(uid))) {
      const { name } = revision.metadata;
      throw new EspalierError('ObjectConflict', `revision ${name} exists already`, { name });
    }
    await remove(there);
    await create(revision, attempt + 1);
  };

  return {
    ownedBy: (uid) => [...(byOwner(reflector.list()).get(uid) ?? [])],
    create,
    renumber: async (name, revision) =>
      changeObject({
        client,
        resource: kinds.revisions,
        reflector,
        name,
        signal,
        change: async ({ metadata, revision: number }) => {
          if (number === revision) return undefined;
          const { resourceVersion } = metadata;
          return client.patch<StoredRevision>(
            kinds.revisions,
            name,
            { revision },
            { resourceVersion, signal },
          );
        },
      }),
    delete: async (name) => {
      const there = reflector.get(keyOfName(name));
      if (there) await remove(there);
    },
  };
};

const indexes = new WeakMap<readonly StoredRevision[], Map<string, StoredRevision[]>>();

/** By the uids of their owners, in order of their numbers. Made once for each state of the cache. */
const byOwner = (revisions: readonly StoredRevision[]): Map<string, StoredRevision[]> => {
  const known = indexes.get(revisions);
  if (known) return known;
  const index = new Map<string, StoredRevision[]>();
  for (const revision of revisions.toSorted((left, right) => left.revision - right.revision)) {
    for (const { uid } of revision.metadata.ownerReferences ?? []) {
      const owned = index.get(uid);
      if (owned) owned.push(revision);
      else index.set(uid, [revision]);
    }
  }
  indexes.set(revisions, index);
  return index;
};

/** The server gives uid, generation and time. */
const asWritten = ({ apiVersion, kind, metadata, ...rest }: ModelDeploymentRevision) => {
  const { name, namespace, labels, annotations, ownerReferences } = metadata;
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(labels ? { labels } : {}),
      ...(annotations ? { annotations } : {}),
      ...(ownerReferences ? { ownerReferences } : {}),
    },
    ...rest,
  };
};

const isSame = (there: StoredRevision, wanted: ModelDeploymentRevision): boolean =>
  there.revision === wanted.revision &&
  there.hash === wanted.hash &&
  sameContent(there.metadata.ownerReferences, wanted.metadata.ownerReferences) &&
  sameContent(there.data, wanted.data);
