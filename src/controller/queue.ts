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
  observer?: QueueObserver;
}

/** Told of what happens to keys, for metrics. */
export interface QueueObserver {
  /** Now waiting to be taken, or to be done and taken again. */
  added(key: string): void;
  taken(key: string): void;
  done(key: string): void;
  /** Comes again after its backoff. */
  retried(): void;
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

export const createQueue = (options: QueueOptions): WorkQueue => {
  const { clock, random, baseMs = 5, maxMs = 30_000, observer } = options;
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
    observer?.added(key);
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
    observer?.retried();
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
    observer?.done(key);
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
    observer?.taken(key);
    return key;
  };

  const forget = (key: string): void => void failures.delete(key);
  return { add, addAfter, addRateLimited, forget, take, done, shutDown, size: () => ready.length };
};
