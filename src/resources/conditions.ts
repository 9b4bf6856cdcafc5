import type { Reason } from './reasons.ts';
import type { Condition } from './types.ts';

/** The CRDs' bound on a condition's message, in characters. */
export const maxMessageLength = 4096;

export interface ConditionInput {
  type: string;
  status: Condition['status'];
  observedGeneration: number;
  reason: Reason;
  message: string;
}

/**
 * A new list in which `input.type` has the given state, at its old place or at the end.
 * lastTransitionTime changes only when the status does. Returns the given list itself when nothing changed,
 * so that an unchanged status stays identical. Messages beyond the CRDs' bound are cut with an ellipsis.
 */
export const setCondition = (
  conditions: readonly Condition[],
  input: ConditionInput,
  now: Date,
): Condition[] => {
  const old = findCondition(conditions, input.type);
  const next: Condition = {
    type: input.type,
    status: input.status,
    observedGeneration: input.observedGeneration,
    lastTransitionTime: old?.status === input.status ? old.lastTransitionTime : conditionTime(now),
    reason: input.reason,
    message: boundedMessage(input.message),
  };
  if (!old) return [...conditions, next];
  if (sameCondition(old, next)) return conditions as Condition[];
  return conditions.map((condition) => (condition.type === input.type ? next : condition));
};

/** Abnormal-true conditions (Reconciling, Stalled, Degraded) are removed when they end, not set to False. */
export const removeCondition = (conditions: readonly Condition[], type: string): Condition[] =>
  findCondition(conditions, type)
    ? conditions.filter((condition) => condition.type !== type)
    : (conditions as Condition[]);

export const findCondition = (
  conditions: readonly Condition[],
  type: string,
): Condition | undefined => conditions.find((condition) => condition.type === type);

export const isConditionTrue = (conditions: readonly Condition[], type: string): boolean =>
  findCondition(conditions, type)?.status === 'True';

/** Kubernetes' metav1.Time: RFC 3339 in whole seconds. */
export const conditionTime = (now: Date): string =>
  `${now.toISOString().slice(0, 'yyyy-mm-ddThh:mm:ss'.length)}Z`;

const boundedMessage = (message: string): string =>
  message.length <= maxMessageLength ? message : `${message.slice(0, maxMessageLength - 1)}…`;

const sameCondition = (left: Condition, right: Condition): boolean =>
  left.status === right.status &&
  left.observedGeneration === right.observedGeneration &&
  left.reason === right.reason &&
  left.message === right.message;
