import type { Condition } from '../../src/resources/types.ts';

/** What the checks look at. */
export interface Judged {
  kind: string;
  metadata: { name: string; generation: number };
  status: { observedGeneration: number; conditions: readonly Condition[] };
}

interface Facts {
  kind: string;
  generation: number;
  observedGeneration: number;
  conditions: readonly Condition[];
  find: (type: string) => Condition | undefined;
  is: (type: string, status: Condition['status']) => boolean;
}

/** True while something is wrong or not yet done; Degraded and RolledBack tell what is beside it, see docs/conditions.md. */
const negative = ['Reconciling', 'Stalled'];

/**
 * The checks of fluxcd/pkg, runtime/conditions/check, by their numbers: what each wants. There they run at the end
 * of a reconcile, so here on each status as it is written. FAIL0010 (the root observedGeneration is less than
 * that of Reconciling) is Flux's own habit and left out: with us a generation was observed when it was looked at, and
 * kstatus reads Reconciling anyway. So are WARN0001 and WARN0002, which only concern further negative conditions.
 */
const checks: Record<string, (facts: Facts) => boolean> = {
  FAIL0001: ({ is }) => !(is('Ready', 'True') && negative.some((type) => is(type, 'True'))),
  FAIL0002: ({ find }) => find('Ready') !== undefined,
  FAIL0003: ({ is }) => !is('Reconciling', 'True') || is('Ready', 'False'),
  FAIL0004: ({ is }) => !is('Stalled', 'True') || is('Ready', 'False'),
  FAIL0005: ({ find }) => !(find('Reconciling') && find('Stalled')),
  FAIL0006: ({ observedGeneration, generation }) => observedGeneration <= generation,
  FAIL0007: ({ observedGeneration, generation, is }) =>
    observedGeneration === generation || !is('Ready', 'True'),
  FAIL0008: ({ conditions, generation, is }) =>
    !is('Ready', 'True') || conditions.every((each) => each.observedGeneration >= generation),
  FAIL0009: ({ conditions, observedGeneration, is }) =>
    !is('Ready', 'True') ||
    conditions.every((each) => each.observedGeneration === observedGeneration),
  // Of a node Unknown says that nobody knows, as of Kubernetes' own nodes, and nothing is on the way.
  FAIL0011: ({ kind, is }) =>
    kind === 'ClusterNode' || !is('Ready', 'Unknown') || is('Reconciling', 'True'),
  WARN0003: ({ is }) => !is('Reconciling', 'False'),
  WARN0004: ({ is }) => !is('Stalled', 'False'),
  WARN0005: ({ conditions }) => conditions.every((each) => each.observedGeneration >= 1),
};

export const fluxChecks = Object.keys(checks);

/**
 * One line per check that the object fails. A status is judged by the generation that it was decided on: whether the
 * user's next edit comes a moment before or after it is written makes no difference to anybody.
 */
export const fluxFailures = (object: Judged): string[] => {
  const { kind, metadata, status } = object;
  const { conditions, observedGeneration } = status;
  const { name } = metadata;
  const find: Facts['find'] = (type) => conditions.find((condition) => condition.type === type);
  const decided = find('Ready')?.observedGeneration ?? metadata.generation;
  const generation = Math.min(metadata.generation, decided);
  const is: Facts['is'] = (type, expected) => find(type)?.status === expected;
  const facts = { kind, generation, observedGeneration, conditions, find, is };
  return fluxChecks
    .filter((check) => !checks[check]!(facts))
    .map((check) => `${check}: ${kind} ${name} ${metadata.generation} ${JSON.stringify(status)}`);
};
