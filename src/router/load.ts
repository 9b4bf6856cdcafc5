import type { Endpoint } from './route-table.ts';

/** Counts requests under way per endpoint. */
export interface Load {
  /** The endpoint with the fewest requests under way, ties by group; undefined when all are `tried`. */
  leastLoaded(endpoints: readonly Endpoint[], tried: readonly string[]): Endpoint | undefined;
  /** Counts one request more; the returned function takes it back. */
  enter(endpoint: Endpoint): () => void;
}

export const createLoad = (): Load => {
  const outstanding = new Map<string, number>();
  const count = ({ url }: Endpoint) => outstanding.get(url) ?? 0;
  return {
    leastLoaded: (endpoints, tried) =>
      endpoints
        .filter(({ url }) => !tried.includes(url))
        .toSorted((a, b) => count(a) - count(b) || a.groupIndex - b.groupIndex)[0],
    enter: (endpoint) => {
      outstanding.set(endpoint.url, count(endpoint) + 1);
      return () => {
        const left = count(endpoint) - 1;
        if (left > 0) outstanding.set(endpoint.url, left);
        else outstanding.delete(endpoint.url);
      };
    },
  };
};
