import { EspalierError } from '../../base/errors.ts';
import { apiError } from './api-error.ts';
import { placeOf, readText } from './call.ts';
import type { CallContext } from './call.ts';
import type { WatchEvent, WatchOptions } from './client.ts';
import { startDeadline } from './deadline.ts';
import { pathOf, selectors } from './objects.ts';
import type { ApiObject, ApiResource } from './objects.ts';
import { watchEvents } from './watch-stream.ts';

/** After the server should have ended a watch. */
const watchGraceMs = 30_000;

/** One stream of events; the connection is freed when the reader stops. */
export async function* openWatch<T extends ApiObject>(
  context: CallContext,
  resource: ApiResource,
  options: WatchOptions,
): AsyncIterable<WatchEvent<T>> {
  const request = { method: 'GET' as const, path: watchPath(resource, options) };
  const where = `watch ${placeOf(request)}`;
  const tooLong = () =>
    new EspalierError('ApiUnreachable', `the API server did not end the ${where} in time`, {
      where,
      status: 0,
      isSent: true,
    });
  const deadlineMs = options.timeoutSeconds * 1000 + watchGraceMs;
  const deadline = startDeadline(context.clock, deadlineMs, tooLong, options.signal);
  try {
    await context.take(deadline.signal);
    const response = await context.transport({ ...request, signal: deadline.signal });
    if (response.status !== 200) {
      throw apiError(response.status, response.headers, await readText(response), where);
    }
    yield* watchEvents<T>(noticed(response.body, options.onBytes), where);
  } finally {
    // Also when the reader stops reading: the connection goes, not only the iterator.
    deadline.abort(new EspalierError('ApiUnreachable', `the ${where} is over`));
    deadline.dispose();
  }
}

const watchPath = (resource: ApiResource, options: WatchOptions): string => {
  const query = new URLSearchParams({
    watch: '1',
    allowWatchBookmarks: 'true',
    timeoutSeconds: `${options.timeoutSeconds}`,
    ...selectors(options),
    ...(options.resourceVersion === undefined ? {} : { resourceVersion: options.resourceVersion }),
    ...(options.sendInitialEvents
      ? { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' }
      : {}),
  });
  return `${pathOf(resource, { namespace: options.namespace })}?${query.toString()}`;
};

async function* noticed(
  body: AsyncIterable<Uint8Array>,
  onBytes: (() => void) | undefined,
): AsyncIterable<Uint8Array> {
  onBytes?.();
  for await (const chunk of body) {
    onBytes?.();
    yield chunk;
  }
}
