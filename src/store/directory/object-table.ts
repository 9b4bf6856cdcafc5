import { EspalierError } from '../../base/errors.ts';
import type { ObjectKey } from '../../controller/ports.ts';
import type { ModelDeploymentRevision } from '../../resources/types.ts';
import { frozenCopy } from './frozen.ts';
import type { StateDirectory } from './state-directory.ts';
import { byKey, keyOf, keyText } from './state-layout.ts';
import type { ObjectRecord } from './state-layout.ts';

/**
 * All objects and revisions, in memory and on disk; callers make one change at a time. An object changes in
 * memory just before it does on disk, so that whoever reads the state directory never knows more than the
 * router, which reads memory; it changes back when the disk refuses. A change is durable when it resolves, and
 * throws EpochFenced or StateNotWritable.
 */
export interface ObjectTable {
  records: ReadonlyMap<string, ObjectRecord>;
  revisions: ReadonlyMap<string, ModelDeploymentRevision>;
  put(record: ObjectRecord): Promise<void>;
  /** The object and the revisions that it owns. */
  drop(key: ObjectKey): Promise<void>;
  putRevision(revision: ModelDeploymentRevision): Promise<void>;
  dropRevision(namespace: string, name: string): Promise<void>;
}

export const createObjectTable = (state: StateDirectory): ObjectTable => {
  const { layout } = state;
  const records = new Map(
    state.objects
      .map((record) => [keyText(keyOf(record.object)), frozenCopy(record)] as const)
      .toSorted(([left], [right]) => byKey(left, right)),
  );
  const revisions = new Map(
    state.revisions.map((revision) => [revisionKey(revision), frozenCopy(revision)]),
  );

  const restore = (key: ObjectKey, before: ObjectRecord | undefined): void => {
    if (before) records.set(keyText(key), before);
    else records.delete(keyText(key));
  };

  const dropRevision = async (namespace: string, name: string): Promise<void> => {
    await state.remove(layout.revision(namespace, name));
    revisions.delete(`${namespace}/${name}`);
  };

  return {
    records,
    revisions,
    put: async (record) => {
      const key = keyOf(record.object);
      const before = records.get(keyText(key));
      records.set(keyText(key), frozenCopy(record));
      try {
        await state.write(layout.object(key), record);
      } catch (error) {
        restore(key, before);
        throw error;
      }
    },
    // Revisions first: killed in between, the object is still there and is dropped again.
    drop: async (key) => {
      const before = records.get(keyText(key));
      const uid = before?.object.metadata.uid;
      for (const revision of revisions.values()) {
        const { namespace = '', name, ownerReferences = [] } = revision.metadata;
        if (ownerReferences.some((owner) => owner.uid === uid)) await dropRevision(namespace, name);
      }
      records.delete(keyText(key));
      try {
        await state.remove(layout.object(key));
      } catch (error) {
        restore(key, before);
        throw error;
      }
    },
    putRevision: async (revision) => {
      const { namespace = '', name } = revision.metadata;
      await state.write(layout.revision(namespace, name), revision);
      revisions.set(revisionKey(revision), frozenCopy(revision));
    },
    dropRevision,
  };
};

export const revisionKey = ({ metadata }: ModelDeploymentRevision): string =>
  `${metadata.namespace ?? ''}/${metadata.name}`;

export const notFound = (name: string): EspalierError =>
  new EspalierError('ObjectNotFound', `${name} is not in the store`, { name });
