import { canonicalJson } from '../../src/base/canonical-json.ts';
import type { Clock } from '../../src/base/clock.ts';
import { applyDefaults } from '../../src/resources/defaulting.ts';
import { loadSchemas } from '../../src/resources/schemas.ts';
import type { ApiObject } from '../../src/store/kubernetes/objects.ts';
import type { ApiRequest, ApiResponse, Transport } from '../../src/store/kubernetes/transport.ts';
import { LineStream } from './line-stream.ts';

export type FakeObject = ApiObject & { spec?: unknown; status?: unknown };

type EventType = 'ADDED' | 'MODIFIED' | 'DELETED';

interface Target {
  /** `group/plural`. */
  collection: string;
  namespace: string | undefined;
  name: string | undefined;
  subresource: string | undefined;
}

interface Watch extends Target {
  stream: LineStream;
}

class Refusal extends Error {
  readonly status: number;
  readonly reason: string;
  constructor(status: number, reason: string) {
    super(reason);
    this.status = status;
    this.reason = reason;
  }
}

const schemas = loadSchemas();
const keptEvents = 500;
const bookmarkMs = 60_000;

/**
 * An API server in memory behind the Transport contract, in simulated time: resourceVersions, generations, /status,
 * merge patch, finalizers, preconditions, garbage collection by owner, watches with bookmarks, streamed lists and
 * 410, defaults of our CRDs. Where it is simpler than the real one: an apply replaces every top-level field that it
 * names, whoever owned it; nothing is validated; selectors are ignored. Real servers are tested in test/kubernetes/.
 */
export class FakeApiServer {
  readonly #clock: Clock;
  readonly #objects = new Map<string, FakeObject>();
  readonly #watches = new Set<Watch>();
  #history: { version: number; type: EventType; collection: string; object: FakeObject }[] = [];
  #version = 1000;
  #oldest = 1000;
  #uids = 0;
  /** Called with everything that is stored or deleted. */
  onChange: (type: EventType, object: FakeObject) => void = () => undefined;
  /** Requests that would change something, by collection. */
  readonly writes = new Map<string, number>();
  /** Of those, the ones that the server accepted and that changed nothing, by collection. */
  readonly idleWrites = new Map<string, number>();

  /** Told of every status as it was written. */
  onStatus: (object: FakeObject) => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#bookmarkLater();
  }

  readonly transport: Transport = async (request) => {
    request.signal.throwIfAborted();
    return this.handle(request);
  };

  handle(request: ApiRequest): ApiResponse {
    const url = new URL(request.path, 'http://fake');
    const target = targetOf(url.pathname);
    if (request.method !== 'GET') {
      this.writes.set(target.collection, (this.writes.get(target.collection) ?? 0) + 1);
    }
    try {
      if (url.searchParams.has('watch')) return this.#watch(target, url, request);
      return answer(200, this.#act(request, target));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const details = { name: target.name };
      return answer(error.status, {
        kind: 'Status',
        code: error.status,
        reason: error.reason,
        details,
      });
    }
  }

  /** As etcd does every few minutes: whoever resumes a watch from before is told 410. */
  compact(): void {
    this.#history = [];
    this.#oldest = this.#version;
  }

  /** As a server that starts over the etcd of another one: with their uids, generations and times. */
  restore(collection: string, objects: readonly FakeObject[]): void {
    for (const object of objects) {
      const { namespace, name } = object.metadata;
      this.#store('ADDED', { collection, namespace, name, subresource: undefined }, object);
    }
  }

  /** As they are kept: never change one in place. */
  objects(collection: string): FakeObject[] {
    return [...this.#objects]
      .filter(([key]) => key.startsWith(`${collection}/`))
      .map(([, object]) => object);
  }

  #act(request: ApiRequest, target: Target): unknown {
    const body = request.body as FakeObject & { preconditions?: { uid?: string } };
    const isApply = request.contentType === 'application/apply-patch+yaml';
    switch (request.method) {
      case 'GET':
        return target.name === undefined ? this.#list(target) : this.#get(target);
      case 'POST':
        return this.#create({ ...target, name: body.metadata.name }, body);
      case 'PATCH':
        return isApply ? this.#apply(target, body) : this.#merge(target, body);
      case 'DELETE':
        return this.#delete(target, body?.preconditions?.uid);
      default:
        throw new Refusal(405, 'MethodNotAllowed');
    }
  }

  #get(target: Target): FakeObject {
    const object = this.#objects.get(keyOf(target));
    if (object) return object;
    throw new Refusal(404, 'NotFound');
  }

  #list(target: Target): unknown {
    const items = [...this.#objects]
      .filter(([key]) => isIn(key, target))
      .map(([, object]) => object);
    const metadata = { resourceVersion: `${this.#version}` };
    return {
      apiVersion: items[0]?.apiVersion ?? 'v1',
      kind: `${items[0]?.kind ?? ''}List`,
      metadata,
      items,
    };
  }

  #create(target: Target, body: FakeObject): FakeObject {
    if (this.#objects.has(keyOf(target))) throw new Refusal(409, 'AlreadyExists');
    this.#uids += 1;
    return this.#store('ADDED', target, {
      ...body,
      metadata: {
        ...body.metadata,
        uid: `00000000-0000-4000-8000-${String(this.#uids).padStart(12, '0')}`,
        generation: 1,
        creationTimestamp: this.#clock.now().toISOString(),
      },
    });
  }

  #apply(target: Target, body: FakeObject): FakeObject {
    const there = this.#objects.get(keyOf(target));
    if (!there && (target.subresource || body.metadata.resourceVersion)) {
      throw new Refusal(404, 'NotFound');
    }
    if (!there) return this.#create(target, body);
    const { metadata, ...fields } = body;
    const { labels, annotations, ownerReferences = there.metadata.ownerReferences } = metadata;
    const isStatus = target.subresource === 'status';
    const { labels: _, annotations: __, ...kept } = there.metadata;
    const changed = this.#change(target, metadata.resourceVersion, {
      ...there,
      ...(isStatus ? { status: body.status } : { ...fields, status: there.status }),
      metadata: isStatus
        ? there.metadata
        : {
            ...kept,
            ...(labels ? { labels } : {}),
            ...(annotations ? { annotations } : {}),
            ...(ownerReferences ? { ownerReferences } : {}),
          },
    });
    if (isStatus) this.onStatus(changed);
    return changed;
  }

  #merge(target: Target, patch: FakeObject): FakeObject {
    const there = this.#get(target);
    return this.#change(target, patch.metadata?.resourceVersion, merge(there, patch) as FakeObject);
  }

  #change(target: Target, expected: string | undefined, next: FakeObject): FakeObject {
    const there = this.#get(target);
    const { resourceVersion, generation = 1 } = there.metadata;
    if (expected !== undefined && expected !== resourceVersion) throw new Refusal(409, 'Conflict');
    const changed = withDefaults({ ...next, metadata: { ...next.metadata, resourceVersion } });
    if (canonicalJson(changed) === canonicalJson(there)) {
      const { collection } = target;
      this.idleWrites.set(collection, (this.idleWrites.get(collection) ?? 0) + 1);
      return there;
    }
    const isNewSpec = canonicalJson(changed.spec) !== canonicalJson(there.spec);
    changed.metadata.generation = generation + (isNewSpec ? 1 : 0);
    const { deletionTimestamp, finalizers = [] } = changed.metadata;
    if (deletionTimestamp === undefined || finalizers.length > 0) {
      return this.#store('MODIFIED', target, changed);
    }
    this.#remove(target, changed);
    return changed;
  }

  #delete(target: Target, uid: string | undefined): unknown {
    const there = this.#get(target);
    if (uid !== undefined && uid !== there.metadata.uid) throw new Refusal(409, 'Conflict');
    if ((there.metadata.finalizers ?? []).length === 0) {
      this.#remove(target, there);
      return { kind: 'Status', status: 'Success' };
    }
    if (there.metadata.deletionTimestamp) return there;
    const deletionTimestamp = this.#clock.now().toISOString();
    return this.#store('MODIFIED', target, {
      ...there,
      metadata: { ...there.metadata, deletionTimestamp },
    });
  }

  #remove(target: Target, object: FakeObject): void {
    const { uid } = object.metadata;
    this.#store('DELETED', target, object);
    for (const [key, owned] of this.#objects) {
      if (!owned.metadata.ownerReferences?.some((owner) => owner.uid === uid)) continue;
      this.#delete(targetOfKey(key, owned), undefined);
    }
  }

  #store(type: EventType, target: Target, object: FakeObject): FakeObject {
    this.#version += 1;
    const { collection } = target;
    const stored = withDefaults(structuredClone(object));
    stored.metadata.resourceVersion = `${this.#version}`;
    if (type === 'DELETED') this.#objects.delete(keyOf(target));
    else this.#objects.set(keyOf(target), stored);
    this.#history.push({ version: this.#version, type, collection, object: stored });
    for (const gone of this.#history.splice(0, this.#history.length - keptEvents)) {
      this.#oldest = gone.version;
    }
    for (const watch of this.#watches) {
      if (isIn(keyOf(target), watch)) watch.stream.push(line(type, stored));
    }
    this.onChange(type, stored);
    return stored;
  }

  #watch(target: Target, url: URL, { signal }: ApiRequest): ApiResponse {
    const stream = new LineStream(signal, () => this.#watches.delete(watch));
    const watch = { ...target, stream };
    this.#watches.add(watch);
    const seconds = Number(url.searchParams.get('timeoutSeconds'));
    stream.onEnd(this.#clock.after(seconds * 1000, () => stream.end()));
    const from = Number(url.searchParams.get('resourceVersion'));
    if (url.searchParams.get('sendInitialEvents') === 'true') {
      for (const [key, object] of this.#objects) {
        if (isIn(key, target)) stream.push(line('ADDED', object));
      }
      stream.push(bookmark(this.#version, true));
    } else if (from < this.#oldest) {
      stream.push(JSON.stringify({ type: 'ERROR', object: { code: 410, reason: 'Expired' } }));
      stream.end();
    } else {
      for (const { version, type, collection, object } of this.#history) {
        const { namespace, name } = object.metadata;
        const key = keyOf({ collection, namespace, name });
        if (version > from && isIn(key, target)) stream.push(line(type, object));
      }
    }
    return { status: 200, headers: {}, body: stream };
  }

  #bookmarkLater(): void {
    this.#clock.after(bookmarkMs, () => {
      for (const { stream } of this.#watches) stream.push(bookmark(this.#version, false));
      this.#bookmarkLater();
    });
  }
}

const targetOf = (path: string): Target => {
  const parts = path.split('/').filter(Boolean);
  const group = parts[0] === 'api' ? '' : parts[1]!;
  const rest = parts.slice(parts[0] === 'api' ? 2 : 3);
  const namespace = rest[0] === 'namespaces' && rest.length > 2 ? rest[1] : undefined;
  const [plural, name, subresource] = namespace === undefined ? rest : rest.slice(2);
  return { collection: `${group}/${plural}`, namespace, name, subresource };
};

const keyOf = ({ collection, namespace, name }: Omit<Target, 'subresource'>): string =>
  `${collection}/${namespace ?? ''}/${name}`;

const targetOfKey = (key: string, { metadata }: FakeObject): Target => ({
  collection: key.split('/').slice(0, 2).join('/'),
  namespace: metadata.namespace,
  name: metadata.name,
  subresource: undefined,
});

const isIn = (
  key: string,
  { collection, namespace }: Omit<Target, 'name' | 'subresource'>,
): boolean =>
  key.startsWith(namespace === undefined ? `${collection}/` : `${collection}/${namespace}/`);

const withDefaults = (object: FakeObject): FakeObject => {
  const schema = schemas.kind(object.kind);
  return structuredClone(schema ? (applyDefaults(object, schema.root) as FakeObject) : object);
};

/** RFC 7396. */
const merge = (target: unknown, patch: unknown): unknown => {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const merged = { ...(target as Record<string, unknown>) };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = merge(merged[name], value);
  }
  return merged;
};

const line = (type: EventType, object: FakeObject): string => JSON.stringify({ type, object });

const bookmark = (version: number, isInitial: boolean): string => {
  const annotations = isInitial ? { 'k8s.io/initial-events-end': 'true' } : {};
  const metadata = { resourceVersion: `${version}`, annotations };
  return JSON.stringify({ type: 'BOOKMARK', object: { metadata } });
};

const answer = (status: number, body: unknown): ApiResponse => ({
  status,
  headers: {},
  body: once(JSON.stringify(body)),
});

async function* once(text: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(text);
}
