import type { Clock } from '../base/clock.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Route, RouteTable } from './route-table.ts';

/** What became of a request, beside the status that was sent: a stream may break after its 200. */
export type RequestOutcome = 'Answered' | 'Streamed' | 'BrokenStream' | 'ClientGone' | 'Failed';

export interface RequestCounters {
  /** A request for a known deployment begins; the returned function is called at its end, once. */
  enter(route: Route): (outcome: RequestOutcome, status: number) => void;
  /** Turned away before a deployment was found. */
  refused(status: number): void;
}

/** From an error that comes at once to an answer that is read for ten minutes. */
const bucketsSeconds = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];

/**
 * Namespace and name are those of the deployment that was found, never what the client wrote, so that no client
 * can make series; the refused ones have none.
 */
export const countRequests = (
  metrics: Metrics,
  clock: Clock,
  routes: RouteTable,
): RequestCounters => {
  const labels = ['namespace', 'name'] as const;
  const total = metrics.counter({
    name: 'espalier_router_requests_total',
    help: 'Requests by the status that was sent and by what became of them.',
    labels: [...labels, 'code', 'outcome'],
  });
  const duration = metrics.histogram({
    name: 'espalier_router_request_duration_seconds',
    help: 'Time from a request to the end of its answer.',
    labels,
    bucketsSeconds,
  });
  const inFlight = new Map<string, number>();
  const add = (key: string, change: number): void => {
    const count = (inFlight.get(key) ?? 0) + change;
    if (count > 0) inFlight.set(key, count);
    else inFlight.delete(key);
  };
  metrics.gauge(
    {
      name: 'espalier_router_requests_in_flight',
      help: 'Requests under way.',
      labels,
    },
    () =>
      routes.routes().map(({ namespace, name }) => ({
        labels: { namespace, name },
        value: inFlight.get(`${namespace}/${name}`) ?? 0,
      })),
  );
  return {
    enter: ({ namespace, name }) => {
      const key = `${namespace}/${name}`;
      const startMs = clock.monotonicMs();
      add(key, 1);
      return (outcome, status) => {
        add(key, -1);
        total.add({ namespace, name, code: String(status), outcome });
        duration.observe({ namespace, name }, (clock.monotonicMs() - startMs) / 1000);
      };
    },
    refused: (status) =>
      total.add({ namespace: '', name: '', code: String(status), outcome: 'Failed' }),
  };
};
