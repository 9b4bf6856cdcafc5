import type { Clock } from '../base/clock.ts';
import { backoffMs } from '../base/random.ts';
import type { Random } from '../base/random.ts';
import { createLanes } from './lanes.ts';

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
  /**
   * Adds what somebody waits for: urgent keys and others are taken by turns, so that neither waits for more than one
   * of the others.
   */
  addUrgent(key: string): void;
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
  const ready = createLanes();
  const dirty = new Set<string>();
  const processing = new Set<string>();
  const failures = new Map<string, number>();
  const timers = createTimers(clock);
  const takers: ((key: string | undefined) => void)[] = [];
  let isShutDown = false;

  const add = (key: string): void => {
    if (isShutDown || dirty.has(key)) return;
    dirty.add(key);
    observer?.added(key);
    if (!processing.has(key)) offer(key);
  };

  const addUrgent = (key: string): void => {
    if (isShutDown) return;
    ready.hurry(key);
    add(key);
  };

  const addAfter = (key: string, delayMs: number): void => {
    if (isShutDown) return;
    if (delayMs <= 0) return add(key);
    timers.set(key, delayMs, () => add(key));
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
    timers.clear();
    ready.clear();
    for (const taker of takers.splice(0)) taker(undefined);
  };

  const offer = (key: string): void => {
    ready.push(key);
    const taker = takers.shift();
    if (taker) taker(begin(ready.shift()!));
  };

  const begin = (key: string): string => {
    processing.add(key);
    dirty.delete(key);
    observer?.taken(key);
    return key;
  };

  const forget = (key: string): void => void failures.delete(key);
  const size = (): number => ready.size();
  return { add, addUrgent, addAfter, addRateLimited, forget, take, done, shutDown, size };
};

/** One timer for each key: of several times the earliest. */
const createTimers = (clock: Clock) => {
  const timers = new Map<string, { dueMs: number; cancel: () => void }>();
  const set = (key: string, delayMs: number, act: () => void): void => {
    const dueMs = clock.monotonicMs() + delayMs;
    const waiting = timers.get(key);
    if (waiting && waiting.dueMs <= dueMs) return;
    waiting?.cancel();
    const fire = () => {
      timers.delete(key);
      act();
    };
    timers.set(key, { dueMs, cancel: clock.after(delayMs, fire) });
  };
  const clear = (): void => {
    for (const { cancel } of timers.values()) cancel();
    timers.clear();
  };
  return { set, clear };
};
