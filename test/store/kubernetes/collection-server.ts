import type { ApiObject } from '../../../src/store/kubernetes/objects.ts';
import type {
  ApiRequest,
  ApiResponse,
  Transport,
} from '../../../src/store/kubernetes/transport.ts';

type EventType = 'ADDED' | 'MODIFIED' | 'DELETED';

export interface StoredItem extends ApiObject {
  spec: { value: number };
}

interface PastEvent {
  version: number;
  type: EventType;
  object: StoredItem;
}

/** What a test does to a request instead of answering it, or to the stream of a watch. */
export interface Fault {
  /** Default: any request. */
  on?: 'list' | 'watch';
  status?: number;
  headers?: Record<string, string>;
  /** Instead of a Status. */
  text?: string;
  /** The transport rejects. */
  error?: Error;
  /** Changes the lines of a watch as they come; `cut` breaks the stream after them. */
  lines?: (lines: string[]) => { lines: string[]; cut?: boolean };
  /** No byte and no end, until the client gives up. */
  isSilent?: boolean;
}

export const widgets = {
  group: 'test.espalier.dev',
  version: 'v1',
  plural: 'widgets',
  isNamespaced: true,
};

/** One collection of objects behind the Transport contract: lists in pages, watches, bookmarks, history. */
export class CollectionServer {
  readonly requests: URL[] = [];
  /** Taken one per request that they fit, in order. */
  readonly faults: Fault[] = [];
  /** Of sendInitialEvents: `refuses` it as a server without the feature does, `ignores` it as an older one. */
  streamedLists: 'serves' | 'refuses' | 'ignores' = 'serves';
  #version = 100;
  #oldest = 100;
  readonly #objects = new Map<string, StoredItem>();
  #history: PastEvent[] = [];
  readonly #watches = new Set<LineStream>();

  readonly transport: Transport = async (request) => {
    request.signal.throwIfAborted();
    return this.#answer(request);
  };

  put(name: string, value: number): StoredItem {
    this.#version += 1;
    const known = this.#objects.get(name);
    const object = widget(
      name,
      value,
      this.#version,
      known?.metadata.uid ?? `uid-${this.#version}`,
    );
    this.#objects.set(name, object);
    this.#record(known ? 'MODIFIED' : 'ADDED', object);
    return structuredClone(object);
  }

  remove(name: string): void {
    const known = this.#objects.get(name);
    if (!known) return;
    this.#version += 1;
    this.#objects.delete(name);
    this.#record('DELETED', widget(name, known.spec.value, this.#version, known.metadata.uid));
  }

  /** Writes to other collections: the version moves, and nothing happens here. */
  writeElsewhere(): void {
    this.#version += 10;
  }

  bookmark(): void {
    for (const watch of this.#watches) watch.push(bookmarkLine(this.#version, false));
  }

  /** Forgets history: watches from before get 410. */
  compact(): void {
    this.#oldest = this.#version;
    this.#history = [];
  }

  /** Ends every open watch, as a server does after timeoutSeconds. */
  endWatches(): void {
    for (const watch of this.#watches) watch.end();
  }

  items(): StoredItem[] {
    return structuredClone([...this.#objects.values()]);
  }

  openWatches(): number {
    return this.#watches.size;
  }

  #record(type: EventType, object: StoredItem): void {
    this.#history.push({ version: this.#version, type, object });
    for (const watch of this.#watches) watch.push(eventLine(type, object));
  }

  #answer(request: ApiRequest): ApiResponse {
    const url = new URL(request.path, 'http://test');
    this.requests.push(url);
    const isWatch = url.searchParams.has('watch');
    const index = this.faults.findIndex(({ on }) => !on || (on === 'watch') === isWatch);
    const fault = index < 0 ? undefined : this.faults.splice(index, 1)[0];
    if (fault?.error) throw fault.error;
    if (fault?.status !== undefined) return refusal(fault.status, fault.headers, fault.text);
    return isWatch ? this.#watch(url, request.signal, fault) : this.#list(url);
  }

  #watch(url: URL, signal: AbortSignal, fault: Fault | undefined): ApiResponse {
    const isInitial = url.searchParams.get('sendInitialEvents') === 'true';
    if (isInitial && this.streamedLists === 'refuses') return refusal(422);
    const stream = new LineStream(signal, fault, () => this.#watches.delete(stream));
    this.#watches.add(stream);
    const from = Number(url.searchParams.get('resourceVersion'));
    if (isInitial) {
      for (const object of this.#objects.values()) stream.push(eventLine('ADDED', object));
      if (this.streamedLists === 'serves') stream.push(bookmarkLine(this.#version, true));
    } else if (from < this.#oldest) {
      stream.push(JSON.stringify({ type: 'ERROR', object: statusObject(410, 'Expired') }));
      stream.end();
    } else {
      for (const { type, object } of this.#history.filter(({ version }) => version > from)) {
        stream.push(eventLine(type, object));
      }
    }
    return { status: 200, headers: {}, body: stream };
  }

  /** Pages are of the present, so that a test that writes between two must compact too, and get 410. */
  #list(url: URL): ApiResponse {
    const limit = Number(url.searchParams.get('limit') ?? 0);
    const token = url.searchParams.get('continue') ?? `${this.#version}:0`;
    const [at, start] = token.split(':').map(Number) as [number, number];
    if (at < this.#oldest) return refusal(410);
    const all = [...this.#objects.values()];
    const items = limit ? all.slice(start, start + limit) : all;
    const next = start + items.length;
    const metadata = {
      resourceVersion: `${at}`,
      ...(next < all.length ? { continue: `${at}:${next}` } : {}),
    };
    const list = { kind: 'WidgetList', apiVersion: 'test.espalier.dev/v1', metadata, items };
    return { status: 200, headers: {}, body: bytes(JSON.stringify(list)) };
  }
}

const widget = (name: string, value: number, version: number, uid: string): StoredItem => ({
  apiVersion: 'test.espalier.dev/v1',
  kind: 'Widget',
  metadata: {
    name,
    namespace: 'default',
    uid,
    resourceVersion: `${version}`,
    creationTimestamp: '2026-11-23T00:00:00Z',
    ...{ managedFields: [{ manager: 'test' }] },
  },
  spec: { value },
});

const eventLine = (type: EventType, object: StoredItem): string => JSON.stringify({ type, object });

const bookmarkLine = (version: number, isInitial: boolean): string =>
  JSON.stringify({
    type: 'BOOKMARK',
    object: {
      metadata: {
        resourceVersion: `${version}`,
        ...(isInitial ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
      },
    },
  });

const statusObject = (code: number, reason: string) => ({ kind: 'Status', code, reason });

const refusal = (status: number, headers: Record<string, string> = {}, text?: string) => ({
  status,
  headers,
  body: bytes(text ?? JSON.stringify(statusObject(status, 'Refused'))),
});

async function* bytes(text: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(text);
}

/** The body of a watch: lines as they are pushed, until it ends, is cut, or the client gives up. */
class LineStream implements AsyncIterable<Uint8Array> {
  readonly #signal: AbortSignal;
  readonly #fault: Fault | undefined;
  #waiting: string[] = [];
  #isEnded = false;
  #wake = Promise.withResolvers<void>();
  readonly #onEnd: () => void;

  constructor(signal: AbortSignal, fault: Fault | undefined, onEnd: () => void) {
    this.#signal = signal;
    this.#fault = fault;
    this.#onEnd = onEnd;
    signal.addEventListener('abort', () => this.end(), { once: true });
  }

  push(line: string): void {
    this.#waiting.push(line);
    this.#wake.resolve();
  }

  end(): void {
    this.#isEnded = true;
    this.#onEnd();
    this.#wake.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    for (;;) {
      this.#signal.throwIfAborted();
      if (this.#waiting.length > 0 && !this.#fault?.isSilent) {
        const taken = this.#waiting.splice(0);
        const { lines, cut } = this.#fault?.lines?.(taken) ?? { lines: taken };
        for (const line of lines) yield Buffer.from(`${line}\n`);
        if (cut) {
          this.end();
          throw new Error('socket hang up');
        }
      } else if (this.#isEnded) return;
      else {
        await this.#wake.promise;
        this.#wake = Promise.withResolvers();
      }
    }
  }
}
