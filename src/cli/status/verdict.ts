import { findCondition, isConditionTrue } from '../../resources/conditions.ts';
import type { Condition, ModelDeployment } from '../../resources/types.ts';

/** What a deployment is at, in the words that scripts act on. */
export interface Verdict {
  state: 'Ready' | 'InProgress' | 'Failed';
  /** One CamelCase word: of a condition, or "Terminating", "GenerationNotObserved". */
  reason: string;
  message: string;
  /** When it came to be so, where that is known. */
  since?: string;
}

/**
 * Judges as kstatus does (cli-utils, pkg/kstatus/status: deletion, generation, Reconciling and Stalled in the
 * order of the list, Ready), so that this program, Flux and kpt never disagree. The one difference: without any
 * condition an object that was observed counts as in progress here.
 */
export const verdictOf = ({ metadata, status }: ModelDeployment): Verdict => {
  if (metadata.deletionTimestamp !== undefined) {
    const message = 'the deployment was deleted; its ranks are being stopped';
    const since = metadata.deletionTimestamp;
    return { state: 'InProgress', reason: 'Terminating', message, since };
  }
  if (status.observedGeneration !== metadata.generation) {
    const message = `the control plane has not looked at generation ${metadata.generation} yet`;
    return { state: 'InProgress', reason: 'GenerationNotObserved', message };
  }
  const abnormal = status.conditions.find(
    ({ type, status: is }) => is === 'True' && (type === 'Reconciling' || type === 'Stalled'),
  );
  if (abnormal) return said(abnormal.type === 'Stalled' ? 'Failed' : 'InProgress', abnormal);
  const ready = findCondition(status.conditions, 'Ready');
  if (ready) {
    return said(isConditionTrue(status.conditions, 'Ready') ? 'Ready' : 'InProgress', ready);
  }
  return { state: 'InProgress', reason: 'Pending', message: 'no condition is set yet' };
};

const said = (state: Verdict['state'], condition: Condition): Verdict => ({
  state,
  reason: condition.reason,
  message: condition.message,
  since: condition.lastTransitionTime,
});
