import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/logger.ts';
import type { Random } from '../../base/random.ts';
import type { ApiClient } from './client.ts';
import type { ApiObject, ApiResource } from './objects.ts';

/** What happened to a key. Both: changed, or (other uid) deleted and made anew. Frozen objects. */
export interface ObjectChange<T> {
  before?: T | undefined;
  after?: T | undefined;
}

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
}

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
  list(): readonly T[];
  /**
   * Read your own writes: what the server answered enters the cache at once, unless the cache is newer. `onChange`
   * is called only if more than the status differs: then the answer carries somebody else's change too.
   */
  absorb(object: T): void;
  status(): ReflectorStatus;
}

export type CreateReflector = <T extends ApiObject>(options: ReflectorOptions<T>) => Reflector<T>;
