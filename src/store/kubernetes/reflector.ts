import type { Clock } from '../../base/clock.ts';
import { delay } from '../../base/clock.ts';
import { EspalierError, errorFacts, errorMessage } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { Random } from '../../base/random.ts';
import type { ApiClient, WatchEvent } from './client.ts';
import type { Deadline } from './deadline.ts';
import { ObjectCache } from './object-cache.ts';
import type { KeyedChange, ObjectChange } from './object-cache.ts';
import { isNewer, keyOfName } from './objects.ts';
import type { ApiObject, ApiResource } from './objects.ts';
import { afterFailure, isHealthyStream, nextWaitMs, streamError } from './reflector-policy.ts';

export interface ReflectorOptions<T extends ApiObject> {
  client: ApiClient;
  resource: ApiResource;
  /** All namespaces without it. */
  namespace?: string | undefined;
  labelSelector?: string;
  fieldSelector?: string;
  clock: Clock;
  random: Random;
  logger: Logger;
  /** `namespace/name` or `name`. The cache already holds `after`. What it throws is logged and goes no further. */
  onChange: (key: string, change: ObjectChange<T>) => void;
  timing?: Partial<ReflectorTiming>;
}

export interface ReflectorTiming {
  /** A watch without a byte for so long is half open. The server sends a bookmark every 60 to 75 s. */
  silenceMs: number;
  /** For reading everything once. */
  initialEventsMs: number;
  /** Everything is read anew after so long, when a watch ends anyway: no missed event is missed for ever. */
  relistMs: number;
}

const defaultTiming: ReflectorTiming = {
  silenceMs: 90_000,
  initialEventsMs: 60_000,
  relistMs: 30 * 60_000,
};
/** As client-go: streams end at different times, and a server that restarts is not asked by all at once. */
const minWatchSeconds = 290;
const watchSpreadSeconds = 300;
const longStreamMs = 30_000;

export interface ReflectorStatus {
  /** True once everything was read; stays true while the cache may be stale, see `lastContactMs`. */
  isSynced: boolean;
  state: 'stopped' | 'listing' | 'watching' | 'waiting';
  /** Age of the last byte from the server; undefined before the first. */
  lastContactMs: number | undefined;
  /** Why it waits, when it does. */
  lastError: string | undefined;
  lists: number;
  watches: number;
}

/**
 * A cache of one kind that follows the API server for as long as it runs: nothing that the server or the network
 * does ends it. Reads are from memory; objects are frozen.
 */
export interface Reflector<T extends ApiObject> {
  /**
   * Resolves when everything was read once. Rejects with ApiUnreachable after `deadlineMs` (none by default), but
   * goes on trying; rejects when stopped.
   */
  start(options?: { deadlineMs?: number }): Promise<void>;
  /** Ends the watch and resolves when nothing of it is left. */
  stop(): Promise<void>;
  get(key: string): T | undefined;
  /** The same array until something changes. */
  list(): readonly T[];
  /**
   * Read your own writes: what the server answered enters the cache at once, unless the cache is newer. `onChange`
   * is called only if more than the status differs: then the answer carries somebody else's change too.
   */
  absorb(object: T): void;
  /** The same for an own deletion of an object without finalizers: gone at once, and told of. */
  forget(key: string, uid: string): void;
  status(): ReflectorStatus;
}

export const createReflector = <T extends ApiObject>(options: ReflectorOptions<T>): Reflector<T> =>
  new ListWatchReflector(options);

class ListWatchReflector<T extends ApiObject> implements Reflector<T> {
  readonly #options: ReflectorOptions<T>;
  readonly #timing: ReflectorTiming;
  readonly #cache = new ObjectCache<T>();
  readonly #stopped = new AbortController();
  readonly #synced = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;

  /** Where the next watch goes on; undefined: everything has to be read. */
  #position: string | undefined;
  /** Events came in another order than they happened, so that resuming at the highest may skip one. */
  #isPositionDoubtful = false;
  /** Until a server refuses it; then pages. */
  #mayStreamLists = true;
  #isStreamingList = false;
  #listedAtMs = 0;
  #failures = 0;
  #lastContactAtMs: number | undefined;
  #status: Omit<ReflectorStatus, 'lastContactMs'> = {
    isSynced: false,
    state: 'stopped',
    lastError: undefined,
    lists: 0,
    watches: 0,
  };

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#timing = { ...defaultTiming, ...options.timing };
    // `start` hands the promise out; nobody may have called it when `stop` rejects it.
    this.#synced.promise.catch(() => undefined);
  }

  async start({ deadlineMs }: { deadlineMs?: number } = {}): Promise<void> {
    this.#running ??= this.#run();
    if (deadlineMs === undefined) return this.#synced.promise;
    const late = Promise.withResolvers<never>();
    const cancel = this.#options.clock.after(deadlineMs, () =>
      late.reject(this.#notInTime(deadlineMs)),
    );
    try {
      await Promise.race([this.#synced.promise, late.promise]);
    } finally {
      cancel();
    }
  }

  async stop(): Promise<void> {
    const reason = new EspalierError(
      'ApiUnreachable',
      `the ${this.#plural} are no longer followed`,
    );
    this.#stopped.abort(reason);
    this.#synced.reject(reason);
    await this.#running;
    this.#status.state = 'stopped';
  }

  get(key: string): T | undefined {
    return this.#cache.get(key);
  }

  list(): readonly T[] {
    return this.#cache.list();
  }

  absorb(object: T): void {
    this.#tell(this.#cache.absorb(object));
  }

  forget(key: string, uid: string): void {
    this.#tell(this.#cache.forget(key, uid));
  }

  status(): ReflectorStatus {
    const at = this.#lastContactAtMs;
    const lastContactMs = at === undefined ? undefined : this.#options.clock.monotonicMs() - at;
    return { ...this.#status, lastContactMs };
  }

  get #plural(): string {
    return this.#options.resource.plural;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      let waitMs = 0;
      try {
        await this.#followOnce();
      } catch (error) {
        if (signal.aborted) return;
        waitMs = this.#wait(error);
      }
      if (waitMs > 0) await delay(this.#options.clock, waitMs, signal);
    }
  }

  /** Decides what a failure means, and for how long to leave the server alone. */
  #wait(error: unknown): number {
    const { logger, random } = this.#options;
    const decision = afterFailure(error, this.#failures, this.#isStreamingList);
    if (decision.mustRelist) this.#position = undefined;
    if (decision.mustPage) this.#mayStreamLists = false;
    const waitMs = decision.mustPage ? 0 : nextWaitMs(error, this.#failures, random);
    this.#failures += 1;
    this.#status = { ...this.#status, state: 'waiting', lastError: errorMessage(error) };
    const facts = { resource: this.#plural, waitMs: Math.round(waitMs), ...decision };
    logger.warn({ ...facts, ...errorFacts(error) }, 'watch interrupted');
    return waitMs;
  }

  /** Reads everything if need be, then follows one stream to its end. */
  async #followOnce(): Promise<void> {
    const { clock } = this.#options;
    const isOld = clock.monotonicMs() - this.#listedAtMs > this.#timing.relistMs;
    if (isOld || this.#isPositionDoubtful) this.#position = undefined;
    // After a failed attempt in one manner, the other: servers and middle boxes have trouble with either.
    this.#isStreamingList =
      this.#position === undefined && this.#mayStreamLists && this.#failures % 2 === 0;
    if (this.#position === undefined && !this.#isStreamingList) await this.#listInPages();
    const startedAtMs = clock.monotonicMs();
    try {
      const events = await this.#watch();
      if (!isHealthyStream(events, clock.monotonicMs() - startedAtMs)) {
        throw new EspalierError('ApiUnreachable', `the watch of ${this.#plural} ended at once`);
      }
    } finally {
      // A quiet stream is a success too: no event came because nothing happened.
      if (clock.monotonicMs() - startedAtMs >= longStreamMs) this.#noticeSuccess();
    }
  }

  async #listInPages(): Promise<void> {
    const { client, resource } = this.#options;
    this.#status = { ...this.#status, state: 'listing' };
    this.#cache.beginReplacing();
    const { items, resourceVersion } = await client.list<T>(resource, {
      ...this.#selection(),
      signal: this.#stopped.signal,
      isRetried: false,
    });
    this.#noticeContact();
    this.#replace(items, resourceVersion);
  }

  /** Resolves to the number of events when the server ends the stream; throws when it breaks or falls silent. */
  async #watch(): Promise<number> {
    const { client, resource, random } = this.#options;
    const from = this.#position;
    this.#status = { ...this.#status, state: from === undefined ? 'listing' : 'watching' };
    this.#status.watches += 1;
    const { signal, dispose } = this.#startWatchdogs(from === undefined);
    let staged = from === undefined ? new Map<string, T>() : undefined;
    let count = 0;
    if (staged) this.#cache.beginReplacing();
    try {
      const events = client.watch<T>(resource, {
        ...this.#selection(),
        ...(from === undefined ? { sendInitialEvents: true } : { resourceVersion: from }),
        signal,
        timeoutSeconds: minWatchSeconds + Math.floor(random() * watchSpreadSeconds),
        onBytes: () => this.#noticeContact(),
      });
      for await (const event of events) {
        count += 1;
        if (event.type === 'ERROR') throw streamError(event, this.#plural);
        if (!staged) this.#follow(event);
        else if (event.type !== 'BOOKMARK') stage(staged, event);
        else if (event.isInitialEventsEnd) {
          this.#replace([...staged.values()], event.resourceVersion);
          staged = undefined;
        }
      }
    } finally {
      dispose();
    }
    if (!staged) return count;
    throw new EspalierError('ApiUnreachable', `the list of ${this.#plural} ended before its end`);
  }

  #follow(event: Exclude<WatchEvent<T>, { type: 'ERROR' }>): void {
    const version =
      event.type === 'BOOKMARK' ? event.resourceVersion : event.object.metadata.resourceVersion;
    const isLate = this.#position !== undefined && isNewer(this.#position, version);
    if (event.type === 'BOOKMARK') {
      if (isLate) throw this.#wentBack(version);
    } else {
      const change = this.#cache.apply(event.type, event.object);
      if (isLate && change) this.#isPositionDoubtful = true;
      // From before the list, and not in it: the list was not complete.
      const key = keyOfName(event.object.metadata);
      if (isLate && !this.#cache.hasSeen(key, version)) throw this.#wentBack(version);
      this.#tell(change);
    }
    if (!isLate) this.#position = version;
    this.#noticeSuccess();
  }

  /** An etcd that was restored from a backup: what is in the cache may never have happened. */
  #wentBack(version: string): EspalierError {
    const message = `the API server went back from resourceVersion ${this.#position} to ${version}`;
    return new EspalierError('ApiGone', message, { resource: this.#plural });
  }

  #replace(items: readonly T[], resourceVersion: string): void {
    const changes = this.#cache.replace(items, resourceVersion);
    this.#position = resourceVersion;
    this.#isPositionDoubtful = false;
    this.#listedAtMs = this.#options.clock.monotonicMs();
    this.#status = { ...this.#status, isSynced: true, state: 'watching' };
    this.#status.lists += 1;
    for (const change of changes) this.#tell(change);
    this.#synced.resolve();
  }

  #tell(change: KeyedChange<T> | undefined): void {
    if (!change) return;
    const { key, before, after } = change;
    try {
      this.#options.onChange(key, { before, after });
    } catch (error) {
      this.#options.logger.error({ err: error, key, resource: this.#plural }, 'listener failed');
    }
  }

  #noticeContact(): void {
    this.#lastContactAtMs = this.#options.clock.monotonicMs();
  }

  #noticeSuccess(): void {
    this.#failures = 0;
    this.#status.lastError = undefined;
  }

  /** Ends the stream when nothing comes, and when reading everything takes too long. */
  #startWatchdogs(isInitial: boolean): Pick<Deadline, 'signal' | 'dispose'> {
    const { clock } = this.#options;
    const { silenceMs, initialEventsMs } = this.#timing;
    const openedAtMs = clock.monotonicMs();
    const controller = new AbortController();
    const stop = () => controller.abort(this.#stopped.signal.reason);
    this.#stopped.signal.addEventListener('abort', stop, { once: true });
    if (this.#stopped.signal.aborted) stop();
    const check = () => {
      const nowMs = clock.monotonicMs();
      const silentForMs = nowMs - Math.max(openedAtMs, this.#lastContactAtMs ?? 0);
      const isLate =
        isInitial && this.#position === undefined && nowMs - openedAtMs >= initialEventsMs;
      if (silentForMs >= silenceMs) controller.abort(this.#notInTime(silenceMs));
      else if (isLate) {
        // An older server ignores what it does not know, and waits with us for an end that never comes.
        this.#mayStreamLists = false;
        controller.abort(this.#notInTime(initialEventsMs));
      } else cancel = clock.after(Math.min(silenceMs - silentForMs, initialEventsMs), check);
    };
    let cancel = clock.after(Math.min(silenceMs, initialEventsMs), check);
    return {
      signal: controller.signal,
      dispose: () => {
        cancel();
        this.#stopped.signal.removeEventListener('abort', stop);
      },
    };
  }

  #notInTime(ms: number): EspalierError {
    const last = this.#status.lastError === undefined ? '' : `; last: ${this.#status.lastError}`;
    const message = `the API server sent nothing about ${this.#plural} within ${ms / 1000} s${last}`;
    return new EspalierError('ApiUnreachable', message, { resource: this.#plural, withinMs: ms });
  }

  #selection() {
    const { namespace, labelSelector, fieldSelector } = this.#options;
    return {
      namespace,
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
    };
  }
}

/** What there is, as it comes; a newer state of the same key wins. */
const stage = <T extends ApiObject>(
  staged: Map<string, T>,
  { type, object }: { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: T },
): void => {
  const key = keyOfName(object.metadata);
  const known = staged.get(key)?.metadata.resourceVersion;
  if (known !== undefined && !isNewer(object.metadata.resourceVersion, known)) return;
  if (type === 'DELETED') staged.delete(key);
  else staged.set(key, object);
};
