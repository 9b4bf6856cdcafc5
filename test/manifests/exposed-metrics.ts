import { pino } from 'pino';
import { systemClock as clock } from '../../src/base/clock.ts';
import { createProcessMetrics } from '../../src/base/metrics.ts';
import type { MetricDescription, Metrics } from '../../src/base/metrics.ts';
import { operatorHealth } from '../../src/cli/operator-health.ts';
import { createHub } from '../../src/hub/hub.ts';
import { createRouter } from '../../src/router/router.ts';
import { countRequests } from '../../src/store/kubernetes/request-metrics.ts';
import { harness } from '../controller/harness.ts';

export interface ExposedMetrics {
  /** Labels by name; of those of the process none are known. */
  labels: Map<string, readonly string[]>;
  text: string;
}

/** Everything that a scrape of an operator may give, as every room of it describes it. */
export const exposedMetrics = async (): Promise<ExposedMetrics> => {
  const metrics = createProcessMetrics();
  const labels = new Map<string, readonly string[]>(metrics.names().map((name) => [name, []]));
  const note = ({ name, labels: names = [] }: MetricDescription<string>): void => {
    labels.set(name, names);
  };
  const noted: Metrics = {
    ...metrics,
    counter: (description) => {
      note(description);
      return metrics.counter(description);
    },
    histogram: (description) => {
      note(description);
      return metrics.histogram(description);
    },
    gauge: (description, sample) => {
      note(description);
      metrics.gauge(description, sample);
    },
  };
  const logger = pino({ level: 'silent' });
  const world = harness(['a']);
  await world.startControlPlane({ metrics: noted });
  const hub = { logger, clock, host: '127.0.0.1', port: 0, epoch: 1, onStale: () => {} };
  createHub({ ...hub, metrics: noted });
  createRouter({ metrics: noted, logger, clock, routes: { routes: () => [] } });
  countRequests(async () => Promise.reject(new Error('not called')), noted, 'https://127.0.0.1');
  const progress = { isLeading: true, isLooking: true };
  operatorHealth({ metrics: noted, logger, clock, progress });
  return { labels, text: await metrics.text() };
};
