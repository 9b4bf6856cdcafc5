import type { LinkFacts } from '../../catalogue/facts.ts';

/**
 * Microseconds of one all-reduce of one token's activations among `ranks`. Between two entries of the link in
 * proportion; beyond the last as the last two go on, because each further rank is one more message to wait for.
 */
export const allReduceMicroseconds = (link: LinkFacts | undefined, ranks: number): number => {
  if (!link || ranks < 2) return 0;
  const known = link.allReduceMicroseconds.toSorted((a, b) => a.ranks - b.ranks);
  const above = known.findIndex((entry) => entry.ranks >= ranks);
  const [from, to] =
    above > 0
      ? [known[above - 1], known[above]]
      : above === 0
        ? [known[0], known[0]]
        : known.slice(-2);
  if (!from) return 0;
  if (!to || to.ranks === from.ranks) return from.microseconds;
  const slope = (to.microseconds - from.microseconds) / (to.ranks - from.ranks);
  return from.microseconds + slope * (ranks - from.ranks);
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
