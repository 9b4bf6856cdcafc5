import { EspalierError } from '../../base/errors.ts';
import type { WatchEvent } from './client.ts';
import type { ApiObject } from './objects.ts';
import { withoutManagedFields } from './objects.ts';

/** etcd keeps at most 1.5 MB per object, and JSON may take a few times that. */
const maxLineCharacters = 32 * 1024 * 1024;

/**
 * The events of a watch's body: one JSON object per line. Throws ApiUnreachable when the body ends inside a line
 * (it was cut), ApiFailed when a line is no event.
 */
export async function* watchEvents<T extends ApiObject>(
  body: AsyncIterable<Uint8Array>,
  where: string,
): AsyncIterable<WatchEvent<T>> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop()!;
    for (const line of lines) if (line !== '') yield parseEvent<T>(line, where);
    if (rest.length > maxLineCharacters) {
      throw broken(`a line of more than ${maxLineCharacters} characters`, where);
    }
  }
  if (rest === '') return;
  const message = `the watch ${where} was cut in the middle of an event`;
  throw new EspalierError('ApiUnreachable', message, { where, status: 0, isSent: true });
}

const parseEvent = <T extends ApiObject>(line: string, where: string): WatchEvent<T> => {
  let event: { type?: string; object?: Record<string, unknown> };
  try {
    event = JSON.parse(line);
  } catch {
    throw broken(`${line.length} characters that are not JSON`, where);
  }
  const { type, object } = event;
  if (type === 'ERROR') return errorEvent(object ?? {});
  const metadata = object?.['metadata'] as Partial<ApiObject['metadata']> | undefined;
  if (metadata?.resourceVersion === undefined) throw broken('an event without an object', where);
  switch (type) {
    case 'BOOKMARK':
      return {
        type,
        resourceVersion: metadata.resourceVersion,
        isInitialEventsEnd: metadata.annotations?.['k8s.io/initial-events-end'] === 'true',
      };
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      if (metadata.name === undefined) throw broken('an object without a name', where);
      return { type, object: withoutManagedFields(object as unknown as T) };
    default:
      throw broken(`an event of the type ${String(type)}`, where);
  }
};

const errorEvent = <T>({
  code,
  reason,
  message,
}: {
  code?: unknown;
  reason?: unknown;
  message?: unknown;
}): WatchEvent<T> => ({
  type: 'ERROR',
  status: typeof code === 'number' ? code : 0,
  reason: typeof reason === 'string' ? reason : '',
  message: typeof message === 'string' ? message : '',
});

const broken = (what: string, where: string): EspalierError =>
  new EspalierError('ApiFailed', `expected an event from the watch ${where}, got ${what}`, {
    where,
    status: 0,
  });
