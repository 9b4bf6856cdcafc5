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
