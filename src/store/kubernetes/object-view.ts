import type { ApiObject } from './objects.ts';

const views = new WeakMap<ApiObject, ApiObject>();

/**
 * The object as the port promises it: without the resourceVersion, which changes with every write and says nothing
 * that a controller may decide by. The same object gives the same view.
 */
export const view = <T extends ApiObject | undefined>(object: T): T => {
  if (object === undefined) return object;
  const known = views.get(object);
  if (known) return known as T;
  const { resourceVersion: _, ...metadata } = object.metadata;
  const made = Object.freeze({ ...object, metadata: Object.freeze(metadata) });
  views.set(object, made as unknown as ApiObject);
  return made as unknown as T;
};

const viewLists = new WeakMap<readonly ApiObject[], readonly ApiObject[]>();

/** The views of all; the same array for the same array. */
export const viewAll = <T extends ApiObject>(objects: readonly T[]): readonly T[] => {
  const known = viewLists.get(objects) as readonly T[] | undefined;
  if (known) return known;
  const made = Object.freeze(objects.map(view));
  viewLists.set(objects, made);
  return made;
};
