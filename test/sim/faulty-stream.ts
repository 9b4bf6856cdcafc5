import { delay } from '../../src/base/clock.ts';
import type { Clock } from '../../src/base/clock.ts';
import { EspalierError } from '../../src/base/errors.ts';
import type { Random } from '../../src/base/random.ts';
import type { ReplicaClock } from './replica-clock.ts';

const maxLagMs = 200;

interface StreamFaults {
  clock: Clock;
  ownClock: ReplicaClock;
  random: Random;
  signal: AbortSignal;
  /** Of chunks that go wrong, 0 to 1. */
  rate: () => number;
}

/**
 * A watch as it arrives: always late, so that the answer to a write may be there before its event; and at times with
 * events twice, in another order, or cut in the middle of one.
 */
export async function* faultyStream(
  body: AsyncIterable<Uint8Array>,
  { clock, ownClock, random, signal, rate }: StreamFaults,
): AsyncIterable<Uint8Array> {
  for await (const chunk of body) {
    await delay(clock, random() * maxLagMs, signal);
    await ownClock.awake();
    if (random() >= rate()) {
      yield chunk;
      continue;
    }
    const choice = random();
    if (choice < 0.3) {
      yield chunk.subarray(0, Math.floor(random() * chunk.byteLength));
      if (random() < 0.5) return;
      throw new EspalierError('ApiUnreachable', 'the watch is cut', { status: 0, isSent: true });
    }
    yield Buffer.from(choice < 0.6 ? reordered(chunk, random) : repeated(chunk));
  }
}

const linesOf = (chunk: Uint8Array): string[] =>
  Buffer.from(chunk).toString('utf8').split('\n').filter(Boolean);

const repeated = (chunk: Uint8Array): string =>
  linesOf(chunk)
    .flatMap((line) => (isBookmark(line) ? [line] : [line, line]))
    .map((line) => `${line}\n`)
    .join('');

/** Within what comes at once, and never past a bookmark: what that promises would be untrue. */
const reordered = (chunk: Uint8Array, random: Random): string => {
  const lines = linesOf(chunk);
  for (let index = lines.length - 1; index > 0; index -= 1) {
    const other = Math.floor(random() * (index + 1));
    const between = lines.slice(other, index + 1);
    if (between.some(isBookmark)) continue;
    [lines[index], lines[other]] = [lines[other]!, lines[index]!];
  }
  return lines.map((line) => `${line}\n`).join('');
};

const isBookmark = (line: string): boolean => line.startsWith('{"type":"BOOKMARK"');
