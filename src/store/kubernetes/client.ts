import type { ApiObject, ApiResource, ObjectName } from './objects.ts';

export interface CallOptions {
  /** Ends the call, its retries too; it then rejects with the signal's reason. */
  signal?: AbortSignal;
  /** For the call with all its retries; 30 s by default. */
  deadlineMs?: number;
}

export interface WriteOptions extends CallOptions {
  /** `espalier-operator` by default. */
  fieldManager?: string;
  /** Lets the server check everything and keep nothing. */
  isDryRun?: boolean;
}

export interface ListOptions extends CallOptions {
  /** All namespaces without it. */
  namespace?: string | undefined;
  labelSelector?: string;
  fieldSelector?: string;
  /** Objects per request; 500 by default. */
  pageSize?: number;
  /** False: one attempt. For callers with a backoff of their own. */
  isRetried?: boolean;
}

export interface ObjectList<T> {
  items: T[];
  /** Of the collection: where a watch goes on. */
  resourceVersion: string;
}

export interface WatchOptions {
  signal: AbortSignal;
  namespace?: string | undefined;
  labelSelector?: string;
  fieldSelector?: string;
  /** Events after it. Not with `sendInitialEvents`. */
  resourceVersion?: string;
  /** Streams what there is as ADDED, then a BOOKMARK annotated k8s.io/initial-events-end, then changes. */
  sendInitialEvents?: boolean;
  /** The server ends the stream after so long. */
  timeoutSeconds: number;
  /** Told of every chunk of bytes, a sign of life even inside a long line. */
  onBytes?: () => void;
}

export type WatchEvent<T> =
  | { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: T }
  | { type: 'BOOKMARK'; resourceVersion: string; isInitialEventsEnd: boolean }
  | { type: 'ERROR'; status: number; reason: string; message: string };

/** Every write gives back the object as the server keeps it now. */
export type Applied = Pick<ApiObject, 'apiVersion' | 'kind'> & {
  metadata: { name: string; namespace?: string };
};

/**
 * Typed calls to one API server. Objects come as the server sent them, without managedFields.
 *
 * Rejects with EspalierError: ObjectNotFound, ObjectConflict (it exists already), ObjectChanged (precondition or
 * field owner), ApiGone, ApiOverloaded (fact `retryAfterMs`), ApiForbidden, ApiUnauthorized, ApiInvalid,
 * ApiResourceMissing (no such CRD), ApiUnreachable (fact `isSent`), ApiFailed. All carry the fact `status`, 0 for
 * no answer.
 *
 * Reads and writes that may be repeated (apply, delete with uid, patch with resourceVersion) are tried again after
 * 429, 5xx and lost connections, with backoff, jitter and Retry-After, until the deadline; a create only when the
 * server cannot have acted on it (429, or never connected).
 */
export interface ApiClient {
  get<T extends ApiObject>(
    resource: ApiResource,
    name: ObjectName,
    options?: CallOptions,
  ): Promise<T>;
  list<T extends ApiObject>(resource: ApiResource, options?: ListOptions): Promise<ObjectList<T>>;
  /** POST; the namespace and the name are the object's. */
  create<T extends ApiObject>(
    resource: ApiResource,
    object: Applied,
    options?: WriteOptions,
  ): Promise<T>;
  /** Server-side apply with force: only send fields that are ours. Creates what is not there. */
  apply<T extends ApiObject>(
    resource: ApiResource,
    object: Applied,
    options?: WriteOptions,
  ): Promise<T>;
  /** Server-side apply with force on /status; ObjectNotFound when the object is gone. */
  applyStatus<T extends ApiObject>(
    resource: ApiResource,
    object: Applied,
    options?: WriteOptions,
  ): Promise<T>;
  /** JSON merge patch. `resourceVersion` makes it a compare-and-swap: ObjectChanged when it lost. */
  patch<T extends ApiObject>(
    resource: ApiResource,
    name: ObjectName,
    patch: object,
    options?: WriteOptions & { resourceVersion?: string; subresource?: 'status' },
  ): Promise<T>;
  /** Resolves when the deletion is accepted; finalizers may still hold the object. ObjectChanged if the uid is another. */
  delete(
    resource: ApiResource,
    name: ObjectName,
    options?: WriteOptions & { uid?: string; propagationPolicy?: 'Background' | 'Foreground' },
  ): Promise<void>;
  /** One stream, no retries: ends when the server ends it, throws when it breaks. */
  watch<T extends ApiObject>(
    resource: ApiResource,
    options: WatchOptions,
  ): AsyncIterable<WatchEvent<T>>;
}
