import type { Clock } from '../../base/clock.ts';
import type { Metrics } from '../../base/metrics.ts';
import type { PlanRequest, PlanResult } from '../../planner/types.ts';

type PlanFunction = (request: PlanRequest) => PlanResult;

/** From a lookup of a single node to the search over a thousand. */
const bucketsSeconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

/** The same planner, counted: by PlanFound or by the reason why there is no plan, and by time. */
export const measurePlans = (plan: PlanFunction, metrics: Metrics, clock: Clock): PlanFunction => {
  const total = metrics.counter({
    name: 'espalier_plans_total',
    help: 'Plans that were looked for: PlanFound, or the reason why there is none.',
    labels: ['reason'],
  });
  const duration = metrics.histogram({
    name: 'espalier_plan_duration_seconds',
    help: 'Time to find a plan, or to find that there is none.',
    bucketsSeconds,
  });
  total.add({ reason: 'PlanFound' }, 0);
  return (request) => {
    const startMs = clock.monotonicMs();
    const result = plan(request);
    duration.observe({}, (clock.monotonicMs() - startMs) / 1000);
    total.add({ reason: result.ok ? 'PlanFound' : result.reason });
    return result;
  };
};
