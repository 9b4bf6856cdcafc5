import type { Clock } from '../base/clock.ts';
import { backoffMs } from '../base/random.ts';
import type { Random } from '../base/random.ts';

export interface QueueOptions {
  clock: Clock;
  random: Random;
  /** First delay after a failure; doubles with every further one. Default 5 ms, as client-go. */
  baseMs?: number;
  /** Longest delay between two tries. Default 30 s. */
  maxMs?: number;
}

/**
 * The work queue of client-go: a key waits at most once, is never worked on twice at the same time, and comes
 * back when it was added while being worked on. The caller calls `done` for every key that `take` gave.
 */
export interface WorkQueue {
  add(key: string): void;
  /** Adds later; of several times for one key the earliest counts. */
  addAfter(key: string, delayMs: number): void;
  /** Adds after the key's own exponential backoff, with jitter. */
  addRateLimited(key: string): void;
  /** The key works again: its backoff starts from the beginning. */
  forget(key: string): void;
  /** The next key in order of arrival; undefined once the queue is shut down. */
  take(): Promise<string | undefined>;
  done(key: string): void;
  /** Nothing is taken or added any more; waiting takers get undefined. */
  shutDown(): void;
  /** Keys ready to be taken. */
  size(): number;
}

export const createQueue = ({
  clock,
  random,
  baseMs = 5,
  maxMs = 30_000,
}: QueueOptions): WorkQueue => {
  const ready: string[] = [];
  const dirty = new Set<string>();
  const processing = new Set<string>();
  const failures = new Map<string, number>();
  const timers = new Map<string, { dueMs: number; cancel: () => void }>();
  const takers: ((key: string | undefined) => void)[] = [];
  let isShutDown = false;

  const add = (key: string): void => {
    if (isShutDown || dirty.has(key)) return;
    dirty.add(key);
    if (!processing.has(key)) offer(key);
  };

  const addAfter = (key: string, delayMs: number): void => {
    if (isShutDown) return;
    if (delayMs <= 0) return add(key);
    const dueMs = clock.monotonicMs() + delayMs;
    const waiting = timers.get(key);
    if (waiting && waiting.dueMs <= dueMs) return;
    waiting?.cancel();
    const fire = () => {
      timers.delete(key);
      add(key);
    };
    timers.set(key, { dueMs, cancel: clock.after(delayMs, fire) });
  };

  const addRateLimited = (key: string): void => {
    const attempt = failures.get(key) ?? 0;
    failures.set(key, attempt + 1);
    addAfter(key, backoffMs(attempt, { baseMs, maxMs }, random));
  };

  const take = async (): Promise<string | undefined> => {
    if (isShutDown) return undefined;
    const key = ready.shift();
    if (key !== undefined) return begin(key);
    return new Promise((resolve) => takers.push(resolve));
  };

  const done = (key: string): void => {
    processing.delete(key);
    if (!isShutDown && dirty.has(key)) offer(key);
  };

  const shutDown = (): void => {
    isShutDown = true;
    for (const { cancel } of timers.values()) cancel();
    timers.clear();
    ready.length = 0;
    for (const taker of takers.splice(0)) taker(undefined);
  };

  const offer = (key: string): void => {
    const taker = takers.shift();
    if (taker) taker(begin(key));
    else ready.push(key);
  };

  const begin = (key: string): string => {
    processing.add(key);
    dirty.delete(key);
    return key;
  };

  const forget = (key: string): void => void failures.delete(key);
  const size = (): number => ready.length;
  return { add, addAfter, addRateLimited, forget, take, done, shutDown, size };
};
