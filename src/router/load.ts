/** Counts requests under way per endpoint, which is named by its URL. */
export interface Load {
  /** The endpoint with the fewest requests under way, the first of equals; undefined when all are `tried`. */
  leastLoaded(endpoints: readonly string[], tried: readonly string[]): string | undefined;
  /** Counts one request more; the returned function takes it back. */
  enter(endpoint: string): () => void;
  /** Requests under way now. */
  count(endpoint: string): number;
}

export const createLoad = (): Load => {
  const outstanding = new Map<string, number>();
  const count = (endpoint: string) => outstanding.get(endpoint) ?? 0;
  return {
    leastLoaded: (endpoints, tried) =>
      endpoints
        .filter((endpoint) => !tried.includes(endpoint))
        .toSorted((a, b) => count(a) - count(b))[0],
    count,
    enter: (endpoint) => {
      outstanding.set(endpoint, count(endpoint) + 1);
      return () => {
        const left = count(endpoint) - 1;
        if (left > 0) outstanding.set(endpoint, left);
        else outstanding.delete(endpoint);
      };
    },
  };
};
