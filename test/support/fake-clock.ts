import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../src/base/clock.ts';

export interface FakeClock extends Clock {
  /** Moves time on, fires what falls due in order, and lets the work that this sets off come to rest. */
  advance(ms: number): Promise<void>;
  /** Lets pending promises come to rest without moving time. */
  settle(): Promise<void>;
}

/** A clock that stands still until told; wall time starts at 2026-11-23. */
export const fakeClock = (): FakeClock => {
  const epochMs = Date.parse('2026-11-23T00:00:00Z');
  let nowMs = 0;
  let sequence = 0;
  const timers = new Map<number, { dueMs: number; callback: () => void }>();

  const advance = async (ms: number): Promise<void> => {
    const endMs = nowMs + ms;
    for (;;) {
      const next = [...timers].toSorted(
        ([leftId, left], [rightId, right]) => left.dueMs - right.dueMs || leftId - rightId,
      )[0];
      if (!next || next[1].dueMs > endMs) break;
      const [id, { dueMs, callback }] = next;
      timers.delete(id);
      nowMs = Math.max(nowMs, dueMs);
      callback();
      await settle();
    }
    nowMs = endMs;
    await settle();
  };

  return {
    monotonicMs: () => nowMs,
    now: () => new Date(epochMs + nowMs),
    after: (delayMs, callback) => {
      sequence += 1;
      const id = sequence;
      timers.set(id, { dueMs: nowMs + Math.max(0, delayMs), callback });
      return () => timers.delete(id);
    },
    advance,
    settle,
  };
};

/** Twice: work that ends in one turn may hand over to a worker that takes it up in the next. */
const settle = async (): Promise<void> => {
  await turn();
  await turn();
};
