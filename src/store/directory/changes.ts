import { randomUUID } from 'node:crypto';
import { canonicalJson } from '../../base/canonical-json.ts';
import { conditionTime } from '../../resources/conditions.ts';
import type { DesiredObject } from '../../resources/documents.ts';
import type { Schemas } from '../../resources/schemas.ts';
import type { ObjectMeta } from '../../resources/types.ts';
import type { ObjectRecord, StoredObject } from './state-layout.ts';

/** A new object as its document wants it: generation 1, nothing observed yet. */
export const newRecord = (desired: DesiredObject, schemas: Schemas, now: Date): ObjectRecord => {
  const { apiVersion, kind, metadata, spec, file } = desired;
  const { name, namespace } = metadata;
  const object = {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...userMetadata(metadata),
      uid: randomUUID(),
      generation: 1,
      creationTimestamp: conditionTime(now),
    },
    spec,
    status: schemas.defaultField(kind, 'status', { observedGeneration: -1 }),
  };
  return { object: object as StoredObject, file };
};

/**
 * The record after its document changed, or undefined when the document says the same. Generation counts
 * changes of the defaulted spec only: not comments, key order, explicit defaults, labels or annotations.
 */
export const updatedRecord = (
  { object, file }: ObjectRecord,
  desired: DesiredObject,
): ObjectRecord | undefined => {
  const isSameSpec = canonicalJson(object.spec) === canonicalJson(desired.spec);
  const isSameMetadata =
    canonicalJson(userMetadata(object.metadata)) === canonicalJson(userMetadata(desired.metadata));
  if (isSameSpec && isSameMetadata && file === desired.file) return undefined;
  const { labels: _labels, annotations: _annotations, ...rest } = object.metadata;
  const metadata: ObjectMeta = {
    ...rest,
    ...userMetadata(desired.metadata),
    generation: object.metadata.generation + (isSameSpec ? 0 : 1),
  };
  return {
    object: { ...object, metadata, spec: desired.spec } as StoredObject,
    file: desired.file,
  };
};

export const withMetadata = (
  { object, file }: ObjectRecord,
  change: Partial<ObjectMeta>,
): ObjectRecord => ({
  object: { ...object, metadata: { ...object.metadata, ...change } },
  file,
});

const userMetadata = ({
  labels,
  annotations,
}: Pick<ObjectMeta, 'labels' | 'annotations'>): Pick<ObjectMeta, 'labels' | 'annotations'> => ({
  ...(labels && Object.keys(labels).length > 0 ? { labels } : {}),
  ...(annotations && Object.keys(annotations).length > 0 ? { annotations } : {}),
});
