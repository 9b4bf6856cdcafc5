import type { Metrics } from '../../base/metrics.ts';
import { parseKey } from '../keys.ts';
import type { ReconcileResult } from '../loop.ts';

/** From one look at an unchanged object to a search over a large fleet with a slow API server behind it. */
const bucketsSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

const controllerOf = (key: string): string => parseKey(key).kind.toLowerCase();

/** Counts reconciles under controller-runtime's names; `controller` is the kind in lower case. */
export const countReconciles = (
  metrics: Metrics,
): ((key: string, result: ReconcileResult, durationMs: number) => void) => {
  const total = metrics.counter({
    name: 'controller_runtime_reconcile_total',
    help: 'Reconciles by how they ended.',
    labels: ['controller', 'result'],
  });
  const errors = metrics.counter({
    name: 'controller_runtime_reconcile_errors_total',
    help: 'Reconciles that failed.',
    labels: ['controller'],
  });
  const terminalErrors = metrics.counter({
    name: 'controller_runtime_terminal_reconcile_errors_total',
    help: 'Reconciles that failed and are not tried again before their object changes.',
    labels: ['controller'],
  });
  const time = metrics.histogram({
    name: 'controller_runtime_reconcile_time_seconds',
    help: 'Duration of a reconcile.',
    labels: ['controller'],
    bucketsSeconds,
  });
  for (const controller of ['modeldeployment', 'clusternode']) {
    for (const result of ['success', 'requeue_after', 'error'])
      total.add({ controller, result }, 0);
    errors.add({ controller }, 0);
    terminalErrors.add({ controller }, 0);
  }
  return (key, result, durationMs) => {
    const controller = controllerOf(key);
    const isError = result === 'error' || result === 'terminal_error';
    total.add({ controller, result: isError ? 'error' : result });
    if (isError) errors.add({ controller });
    if (result === 'terminal_error') terminalErrors.add({ controller });
    time.observe({ controller }, durationMs / 1000);
  };
};
