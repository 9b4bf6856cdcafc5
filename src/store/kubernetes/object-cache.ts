import { sameContent } from '../../base/canonical-json.ts';
import { isNewer, keyOfName } from './objects.ts';
import type { ApiObject } from './objects.ts';

/** What happened to a key. Both: changed, or (other uid) deleted and made anew. Frozen objects. */
export interface ObjectChange<T> {
  before?: T | undefined;
  after?: T | undefined;
}

export type KeyedChange<T> = ObjectChange<T> & { key: string };

/** Deletions are remembered against events that come late; this many are more than any stream has in flight. */
const maxDeletions = 10_000;

/**
 * The objects of one kind as of some resourceVersion, brought forward by events that may come twice, in another
 * order or long after a newer answer. A later state of a key always wins; time and I/O are elsewhere.
 */
export class ObjectCache<T extends ApiObject> {
  #objects = new Map<string, T>();
  /** Of #objects, until they change. */
  #list: readonly T[] | undefined;
  /** The resourceVersion at which a key was deleted. */
  #deletions = new Map<string, string>();
  /** Everything up to it is in the cache: older events are old news. */
  #floor: string | undefined;
  /** Keys written by ourselves since `beginReplacing`. */
  #absorbed = new Set<string>();

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  list(): readonly T[] {
    this.#list ??= Object.freeze([...this.#objects.values()]);
    return this.#list;
  }

  /** An event of a watch. Undefined: it says nothing new. */
  apply(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: T): KeyedChange<T> | undefined {
    const key = keyOfName(object.metadata);
    const { resourceVersion } = object.metadata;
    const before = this.#objects.get(key);
    if (type !== 'DELETED') {
      if (!this.#isNews(key, resourceVersion)) return undefined;
      this.#put(key, object);
      return { key, before, after: object };
    }
    // A deletion may carry the version of the last change, so that an equal one counts too.
    const known = this.#newest(key);
    if (known !== undefined && isNewer(known, resourceVersion)) return undefined;
    this.#drop(key, resourceVersion);
    return before && { key, before };
  }

  /** Whether the cache has this state of the key or a later one, its deletion included. */
  hasSeen(key: string, resourceVersion: string): boolean {
    const known = this.#objects.get(key)?.metadata.resourceVersion ?? this.#deletions.get(key);
    return known !== undefined && !isNewer(resourceVersion, known);
  }

  /** To be called before asking for a list: what is absorbed from then on is not undone by the answer. */
  beginReplacing(): void {
    this.#absorbed = new Set();
  }

  /** The answer: all there is. What is missing in it has vanished. */
  replace(items: readonly T[], resourceVersion: string): KeyedChange<T>[] {
    const listed = new Map(items.map((item) => [keyOfName(item.metadata), item]));
    for (const key of this.#absorbed) {
      const current = this.#objects.get(key);
      const known = current?.metadata.resourceVersion ?? this.#deletions.get(key);
      if (known === undefined || !isNewer(known, resourceVersion)) continue;
      if (current) listed.set(key, current);
      else listed.delete(key);
    }
    const changes = differences(this.#objects, listed);
    this.#deletions = new Map(
      [...this.#deletions].filter(([key]) => this.#absorbed.has(key) && !listed.has(key)),
    );
    this.#objects = new Map(
      [...listed].map(([key, item]) => [
        key,
        sameState(this.#objects.get(key), item) ?? frozen(item),
      ]),
    );
    this.#list = undefined;
    this.#floor = resourceVersion;
    this.#absorbed = new Set();
    return changes;
  }

  /** The answer to an own write. Undefined: nothing new, or nothing but the status. */
  absorb(object: T): KeyedChange<T> | undefined {
    const key = keyOfName(object.metadata);
    const { resourceVersion, deletionTimestamp, finalizers = [] } = object.metadata;
    if (!this.#isNews(key, resourceVersion)) return undefined;
    const before = this.#objects.get(key);
    this.#absorbed.add(key);
    // The last finalizer went with this write, and the object with it.
    if (deletionTimestamp !== undefined && finalizers.length === 0) {
      this.#drop(key, resourceVersion);
      return before && { key, before };
    }
    this.#put(key, object);
    return before && sameContent(intent(before), intent(object))
      ? undefined
      : { key, before, after: object };
  }

  /** An own deletion that was accepted. Undefined: it is gone already, or the name has another object now. */
  forget(key: string, uid: string): KeyedChange<T> | undefined {
    const before = this.#objects.get(key);
    if (before?.metadata.uid !== uid) return undefined;
    this.#absorbed.add(key);
    this.#drop(key, before.metadata.resourceVersion);
    return { key, before };
  }

  #newest(key: string): string | undefined {
    const known = this.#objects.get(key)?.metadata.resourceVersion ?? this.#deletions.get(key);
    if (known === undefined || this.#floor === undefined) return known ?? this.#floor;
    return isNewer(this.#floor, known) ? this.#floor : known;
  }

  #isNews(key: string, resourceVersion: string): boolean {
    const known = this.#newest(key);
    return known === undefined || isNewer(resourceVersion, known);
  }

  #put(key: string, object: T): void {
    this.#deletions.delete(key);
    this.#objects.set(key, frozen(object));
    this.#list = undefined;
  }

  #drop(key: string, resourceVersion: string): void {
    this.#objects.delete(key);
    this.#list = undefined;
    this.#deletions.delete(key);
    this.#deletions.set(key, resourceVersion);
    if (this.#deletions.size > maxDeletions) {
      this.#deletions.delete(this.#deletions.keys().next().value!);
    }
  }
}

const differences = <T extends ApiObject>(
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
): KeyedChange<T>[] => [
  ...[...before]
    .filter(([key]) => !after.has(key))
    .map(([key, object]) => ({ key, before: object })),
  ...[...after]
    .filter(([key, object]) => !sameState(before.get(key), object))
    .map(([key, object]) => ({ key, before: before.get(key), after: object })),
];

/** The object that is there already, if the other is the same state of it. */
const sameState = <T extends ApiObject>(known: T | undefined, other: T): T | undefined =>
  known?.metadata.resourceVersion === other.metadata.resourceVersion &&
  known.metadata.uid === other.metadata.uid
    ? known
    : undefined;

/** All that somebody else may have changed; the status is the writer's own. */
const intent = (object: ApiObject): unknown => ({
  ...object,
  status: undefined,
  metadata: { ...object.metadata, resourceVersion: undefined },
});

const frozen = <T>(value: T): T => {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const field of Object.values(value)) frozen(field);
  return Object.freeze(value);
};
