import type { Clock } from '../../base/clock.ts';
import type { Metrics } from '../../base/metrics.ts';
import type { QueueObserver } from '../queue.ts';

/** One queue serves both kinds. */
const labels = { name: 'espalier' };

/** Powers of ten from 10 ns to 1000 s, as client-go has them. */
const bucketsSeconds = Array.from({ length: 12 }, (_, power) => 10 ** (power - 8));

/** The work queue's numbers under client-go's names; `depth` is asked at each scrape. */
export const observeQueue = (
  metrics: Metrics,
  clock: Clock,
  depth: () => number,
): QueueObserver => {
  const adds = metrics.counter({
    name: 'workqueue_adds_total',
    help: 'Keys that were added to the work queue.',
    labels: ['name'],
  });
  const retries = metrics.counter({
    name: 'workqueue_retries_total',
    help: 'Keys that come again after a failure.',
    labels: ['name'],
  });
  const queued = metrics.histogram({
    name: 'workqueue_queue_duration_seconds',
    help: 'Time that a key waits before it is worked on.',
    labels: ['name'],
    bucketsSeconds,
  });
  const worked = metrics.histogram({
    name: 'workqueue_work_duration_seconds',
    help: 'Time that a key is worked on.',
    labels: ['name'],
    bucketsSeconds,
  });
  metrics.gauge(
    { name: 'workqueue_depth', help: 'Keys ready to be worked on.', labels: ['name'] },
    () => [{ labels, value: depth() }],
  );
  adds.add(labels, 0);
  retries.add(labels, 0);
  const addedAtMs = new Map<string, number>();
  const takenAtMs = new Map<string, number>();
  const observeSince = (histogram: typeof queued, since: Map<string, number>, key: string) => {
    const startMs = since.get(key);
    since.delete(key);
    if (startMs !== undefined) histogram.observe(labels, (clock.monotonicMs() - startMs) / 1000);
  };
  return {
    added: (key) => {
      adds.add(labels);
      addedAtMs.set(key, clock.monotonicMs());
    },
    taken: (key) => {
      observeSince(queued, addedAtMs, key);
      takenAtMs.set(key, clock.monotonicMs());
    },
    done: (key) => observeSince(worked, takenAtMs, key),
    retried: () => retries.add(labels),
  };
};
