/** A kind as the API server serves it. */
export interface ApiResource {
  /** Empty for the core group. */
  group: string;
  version: string;
  plural: string;
  isNamespaced: boolean;
}

export interface ObjectName {
  /** Of namespaced kinds. */
  namespace?: string | undefined;
  name: string;
}

/** What every object has. Kinds add their fields: `interface Lease extends ApiObject { spec: … }`. */
export interface ApiObject {
  apiVersion: string;
  kind: string;
  metadata: ApiObjectMeta;
}

export interface ApiObjectMeta {
  name: string;
  namespace?: string;
  uid: string;
  /** Comparable as a number since Kubernetes says so (1.35, KEP-5504); see `isNewer`. */
  resourceVersion: string;
  generation?: number;
  creationTimestamp: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: { apiVersion: string; kind: string; name: string; uid: string }[];
}

/** `namespace/name`, or `name` for kinds without a namespace: the key of caches and queues. */
export const keyOfName = ({ namespace, name }: ObjectName): string =>
  namespace ? `${namespace}/${name}` : name;

/** The path of a collection, or of one object in it. */
export const pathOf = (
  { group, version, plural, isNamespaced }: ApiResource,
  { namespace, name, subresource }: Partial<ObjectName> & { subresource?: string | undefined },
): string =>
  [
    group === '' ? `/api/${version}` : `/apis/${group}/${version}`,
    ...(isNamespaced && namespace ? ['namespaces', encodeURIComponent(namespace)] : []),
    plural,
    ...(name === undefined ? [] : [encodeURIComponent(name)]),
    ...(subresource === undefined ? [] : [subresource]),
  ].join('/');

const decimal = /^\d+$/;

/**
 * Whether the first resourceVersion is later than the second. Two that are not both numbers cannot be compared;
 * then what came last counts as newer, which is what every client did before they could be.
 */
export const isNewer = (left: string, right: string): boolean => {
  if (!decimal.test(left) || !decimal.test(right)) return left !== right;
  return left.length === right.length ? left > right : left.length > right.length;
};

/** In place. They are half of an object's size, only the server reads them, and they change with every write. */
export const withoutManagedFields = <T extends ApiObject>(object: T): T => {
  delete (object.metadata as { managedFields?: unknown }).managedFields;
  return object;
};

/** Query parameters that narrow a list or a watch. */
export const selectors = (options: { labelSelector?: string; fieldSelector?: string }) => ({
  ...(options.labelSelector === undefined ? {} : { labelSelector: options.labelSelector }),
  ...(options.fieldSelector === undefined ? {} : { fieldSelector: options.fieldSelector }),
});
