import type { Clock } from '../../base/clock.ts';
import type { Random } from '../../base/random.ts';
import { callApi } from './call.ts';
import type { Call, CallContext } from './call.ts';
import { listAll } from './list.ts';
import { pathOf, withoutManagedFields } from './objects.ts';
import type { ApiObject, ApiResource, ObjectName } from './objects.ts';
import { createTokenBucket } from './token-bucket.ts';
import type { RateLimit } from './token-bucket.ts';
import type { Transport } from './transport.ts';
import { openWatch } from './watch.ts';

export interface CallOptions {
  /** Ends the call, its retries too; it then rejects with the signal's reason. */
  signal?: AbortSignal;
  /** For the call with all its retries; 30 s by default. Of a list: for each page, 120 s by default. */
  deadlineMs?: number;
}

export interface WriteOptions extends CallOptions {
  /** `espalier-operator` by default. */
  fieldManager?: string;
  /** Lets the server check everything and keep nothing. */
  isDryRun?: boolean;
}

export interface PatchOptions extends WriteOptions {
  /** Only if the object still has it. */
  resourceVersion?: string;
  subresource?: 'status';
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
  /**
   * With a resourceVersion an apply is a compare-and-swap: ObjectChanged when it lost. A uid is no guard: the server
   * ignores it on /status.
   */
  metadata: { name: string; namespace?: string; resourceVersion?: string };
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
    options?: PatchOptions,
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

export interface ApiClientOptions {
  transport: Transport;
  clock: Clock;
  random: Random;
  /**
   * For all calls of this client together. Whatever must not wait behind others (the renewal of a Lease) has a
   * client of its own.
   */
  rateLimit?: RateLimit;
}

/**
 * Only against a fault of ours that writes in a circle. The server's own Priority and Fairness sees to its load, and
 * says 429: SIG API Machinery advises against limits in clients (controller-runtime has had none since 0.21), because
 * a change would wait behind the aftermath of the one before.
 */
const defaultRateLimit: RateLimit = { perSecond: 500, burst: 1000 };
const defaultFieldManager = 'espalier-operator';
const defaultDeadlineMs = 30_000;
const attemptMs = 10_000;

export const createApiClient = (options: ApiClientOptions): ApiClient => {
  const bucket = createTokenBucket(options.rateLimit ?? defaultRateLimit, options.clock);
  const context: CallContext = { ...options, take: async (signal) => bucket.take(signal) };
  return {
    get: async <T extends ApiObject>(resource: ApiResource, name: ObjectName, call?: CallOptions) =>
      withoutManagedFields((await read(context, pathOf(resource, name), call)) as T),
    list: async (resource, list) => listAll(context, resource, list),
    create: async <T extends ApiObject>(
      resource: ApiResource,
      body: Applied,
      call?: WriteOptions,
    ) => {
      const path = pathOf(resource, { namespace: body.metadata.namespace });
      const request = { method: 'POST', path, body, repetition: 'once' } as const;
      return withoutManagedFields((await write(context, call, request)) as T);
    },
    apply: async <T extends ApiObject>(resource: ApiResource, body: Applied, call?: WriteOptions) =>
      withoutManagedFields((await apply(context, resource, body, call)) as T),
    applyStatus: async <T extends ApiObject>(
      resource: ApiResource,
      body: Applied,
      call?: WriteOptions,
    ) => withoutManagedFields((await apply(context, resource, body, call, 'status')) as T),
    patch: async <T extends ApiObject>(
      resource: ApiResource,
      name: ObjectName,
      patch: object,
      call?: PatchOptions,
    ) => withoutManagedFields((await mergePatch(context, resource, name, patch, call)) as T),
    delete: async (resource, name, call) => {
      await write(context, call, {
        method: 'DELETE',
        path: pathOf(resource, name),
        body: {
          apiVersion: 'v1',
          kind: 'DeleteOptions',
          propagationPolicy: call?.propagationPolicy ?? 'Background',
          ...(call?.uid === undefined ? {} : { preconditions: { uid: call.uid } }),
        },
        // Without a uid a second deletion may hit an object that was made in between.
        repetition: call?.uid === undefined ? 'once' : 'repeatable',
      });
    },
    watch: (resource, watch) => openWatch(context, resource, watch),
  };
};

const read = async (
  context: CallContext,
  path: string,
  { signal, deadlineMs = defaultDeadlineMs }: CallOptions = {},
): Promise<unknown> =>
  callApi(context, {
    method: 'GET',
    path,
    signal,
    deadlineMs,
    attemptMs,
    repetition: 'repeatable',
  });

const write = async (
  context: CallContext,
  options: WriteOptions = {},
  call: Pick<Call, 'method' | 'path' | 'contentType' | 'body' | 'repetition'>,
): Promise<unknown> => {
  const { signal, deadlineMs = defaultDeadlineMs, isDryRun = false, fieldManager } = options;
  const [path, already] = call.path.split('?');
  const query = new URLSearchParams(already);
  if (call.method !== 'DELETE') query.set('fieldManager', fieldManager ?? defaultFieldManager);
  if (isDryRun) query.set('dryRun', 'All');
  const perAttemptMs = call.repetition === 'once' ? deadlineMs : attemptMs;
  return callApi(context, {
    ...call,
    path: `${path}?${query.toString()}`,
    signal,
    deadlineMs,
    attemptMs: perAttemptMs,
  });
};

const apply = async (
  context: CallContext,
  resource: ApiResource,
  body: Applied,
  options?: WriteOptions,
  subresource?: 'status',
): Promise<unknown> =>
  write(context, options, {
    method: 'PATCH',
    path: `${pathOf(resource, { ...body.metadata, subresource })}?force=true`,
    contentType: 'application/apply-patch+yaml',
    body,
    repetition: body.metadata.resourceVersion === undefined ? 'apply' : 'repeatable',
  });

const mergePatch = async (
  context: CallContext,
  resource: ApiResource,
  name: ObjectName,
  patch: object,
  options?: PatchOptions,
): Promise<unknown> => {
  const resourceVersion = options?.resourceVersion;
  const { metadata } = patch as { metadata?: object };
  return write(context, options, {
    method: 'PATCH',
    path: pathOf(resource, { ...name, subresource: options?.subresource }),
    contentType: 'application/merge-patch+json',
    body:
      resourceVersion === undefined
        ? patch
        : { ...patch, metadata: { ...metadata, resourceVersion } },
    // Without a precondition a second patch may undo what somebody wrote after the first.
    repetition: resourceVersion === undefined ? 'once' : 'repeatable',
  });
};
