import { EspalierError } from '../../base/errors.ts';
import { callApi } from './call.ts';
import type { CallContext } from './call.ts';
import type { ListOptions, ObjectList } from './client.ts';
import { pathOf, selectors, withoutManagedFields } from './objects.ts';
import type { ApiObject, ApiResource } from './objects.ts';

const listAttemptMs = 30_000;
const listDeadlineMs = 120_000;
const defaultPageSize = 500;
/** How often a list starts anew because its snapshot expired between two pages. */
const maxListRestarts = 3;

/** The whole collection as of one resourceVersion, in pages; starts anew when the snapshot expires between two. */
export const listAll = async <T extends ApiObject>(
  context: CallContext,
  resource: ApiResource,
  options: ListOptions = {},
): Promise<ObjectList<T>> => {
  for (let restarts = 0; ; restarts += 1) {
    try {
      // A list that keeps expiring is asked for whole: that costs the server memory, but it ends.
      const pageSize = restarts < maxListRestarts ? (options.pageSize ?? defaultPageSize) : 0;
      return await listPages<T>(context, resource, options, pageSize);
    } catch (error) {
      const isExpired = error instanceof EspalierError && error.code === 'ApiGone';
      if (!isExpired || restarts >= maxListRestarts) throw error;
    }
  }
};

interface ListAnswer<T> {
  apiVersion: string;
  kind: string;
  metadata: { resourceVersion: string; continue?: string };
  items: T[] | null;
}

const listPages = async <T extends ApiObject>(
  context: CallContext,
  resource: ApiResource,
  options: ListOptions,
  pageSize: number,
): Promise<ObjectList<T>> => {
  const { signal, deadlineMs = listDeadlineMs, isRetried, namespace } = options;
  const items: T[] = [];
  const query = new URLSearchParams(selectors(options));
  if (pageSize > 0) query.set('limit', `${pageSize}`);
  for (;;) {
    const answer = (await callApi(context, {
      method: 'GET',
      path: `${pathOf(resource, { namespace })}?${query.toString()}`,
      signal,
      deadlineMs,
      attemptMs: listAttemptMs,
      repetition: 'repeatable',
      isRetried,
    })) as ListAnswer<T>;
    // Built-in kinds leave apiVersion and kind out of the items.
    const kind = answer.kind.replace(/List$/, '');
    for (const item of answer.items ?? []) {
      items.push(withoutManagedFields({ ...item, apiVersion: answer.apiVersion, kind }));
    }
    const next = answer.metadata.continue;
    if (!next) return { items, resourceVersion: answer.metadata.resourceVersion };
    query.set('continue', next);
  }
};
