import type { LinkFacts } from '../../catalogue/facts.ts';

/**
 * Microseconds of one all-reduce of one token's activations among `ranks`. Between two entries of the link in
 * proportion; beyond the last as the last two go on, because each further rank is one more message to wait for.
 */
export const allReduceMicroseconds = (link: LinkFacts | undefined, ranks: number): number => {
  if (!link || ranks < 2) return 0;
  const { below, above, last, beforeLast } = neighbours(link.allReduceMicroseconds, ranks);
  const from = above ? (below ?? above) : (beforeLast ?? last);
  const to = above ?? last;
  if (!from || !to) return 0;
  if (to.ranks === from.ranks) return from.microseconds;
  const slope = (to.microseconds - from.microseconds) / (to.ranks - from.ranks);
  return from.microseconds + slope * (ranks - from.ranks);
};

type Entry = LinkFacts['allReduceMicroseconds'][number];

/** The entries around a number of ranks, and the two largest; in one pass, since search asks very often. */
const neighbours = (entries: readonly Entry[], ranks: number) => {
  let [below, above, last, beforeLast]: (Entry | undefined)[] = [];
  for (const entry of entries) {
    if (entry.ranks < ranks && entry.ranks > (below?.ranks ?? 0)) below = entry;
    if (entry.ranks >= ranks && entry.ranks < (above?.ranks ?? Infinity)) above = entry;
    if (entry.ranks > (last?.ranks ?? 0)) [last, beforeLast] = [entry, last];
    else if (entry.ranks > (beforeLast?.ranks ?? 0)) beforeLast = entry;
  }
  return { below, above, last, beforeLast };
};

/** Milliseconds of one all-reduce of `bytes`: the latency of a small one, then the wire, as a ring uses it. */
export const allReduceMilliseconds = (
  link: LinkFacts | undefined,
  ranks: number,
  bytes: number,
): number =>
  link && ranks > 1
    ? allReduceMicroseconds(link, ranks) / 1e3 +
      ((2 * (ranks - 1)) / ranks) * (bytes / (link.bandwidthGBps * 1e6))
    : 0;

/** Milliseconds to hand `bytes` to the next stage. */
export const hopMilliseconds = (link: LinkFacts | undefined, bytes: number): number =>
  link ? link.hopMicroseconds / 1e3 + bytes / (link.bandwidthGBps * 1e6) : 0;
