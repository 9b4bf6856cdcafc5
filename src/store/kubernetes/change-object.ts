import { EspalierError } from '../../base/errors.ts';
import type { ApiClient } from './client.ts';
import { keyOfName } from './objects.ts';
import type { ApiObject, ApiResource, ObjectName } from './objects.ts';
import type { Reflector } from './reflector.ts';

export interface ObjectChangeOptions<T extends ApiObject> {
  client: ApiClient;
  resource: ApiResource;
  reflector: Reflector<T>;
  name: ObjectName;
  signal: AbortSignal;
  /** Writes with the object's resourceVersion. Undefined: nothing to write. */
  change: (object: T) => Promise<T | undefined>;
}

/** Others write too, the user above all; so many in a row is a fight. */
const maxAttempts = 5;

/**
 * Read, change, write, as a compare-and-swap: first from the cache, and from the server when somebody else was
 * faster. The answer enters the cache, so that the next read has it. Throws ObjectNotFound when the object is
 * gone, also when another of the same name is in its place.
 */
export const changeObject = async <T extends ApiObject>(
  options: ObjectChangeOptions<T>,
): Promise<void> => {
  const { client, resource, reflector, name, signal, change } = options;
  signal.throwIfAborted();
  const cached = reflector.get(keyOfName(name));
  if (!cached) throw notFound(resource, name);
  let object = cached;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const written = await change(object);
      if (written) reflector.absorb(written);
      return;
    } catch (error) {
      if (!isCode(error, 'ObjectChanged') || attempt >= maxAttempts) throw error;
    }
    object = await client.get<T>(resource, name, { signal });
    reflector.absorb(object);
    if (object.metadata.uid !== cached.metadata.uid) throw notFound(resource, name);
  }
};

const notFound = ({ plural }: ApiResource, name: ObjectName): EspalierError =>
  new EspalierError('ObjectNotFound', `${plural} ${keyOfName(name)} is not in the store`, {
    name: name.name,
  });

export const isCode = (error: unknown, code: string): boolean =>
  error instanceof EspalierError && error.code === code;
