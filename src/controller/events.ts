import { findCondition, isConditionTrue } from '../resources/conditions.ts';
import type { GroupStatus, ModelDeploymentStatus } from '../resources/types.ts';
import { isPreempted } from './groups/transitions.ts';
import type { EventInput } from './ports.ts';

/** An event without its object. */
export type Happening = Omit<EventInput, 'regarding'>;

/**
 * What happened between two states of a deployment. Events follow from what is persisted, so that none is told
 * twice after a restart and none is told while nothing changes.
 */
export const happeningsBetween = (
  before: ModelDeploymentStatus,
  after: ModelDeploymentStatus,
): Happening[] => [
  ...revisionHappenings(before, after),
  ...after.groups.flatMap((group) =>
    groupHappenings(
      before.groups.find(({ index }) => index === group.index),
      group,
    ),
  ),
  ...abnormalHappenings(before, after),
  ...readyHappenings(before, after),
];

const revisionHappenings = (
  before: ModelDeploymentStatus,
  after: ModelDeploymentStatus,
): Happening[] => {
  const { updateRevision, effectiveRevision = '', failedRevision } = after;
  if (failedRevision && !before.failedRevision) {
    const { name, message } = failedRevision;
    return [warning('RolledBack', `from revision ${name} to ${effectiveRevision}: ${message}`)];
  }
  if (updateRevision === undefined || updateRevision === before.updateRevision) return [];
  return [normal('RollingOut', `to revision ${updateRevision}`)];
};

const groupHappenings = (before: GroupStatus | undefined, after: GroupStatus): Happening[] => {
  const isNewStart = before?.incarnation !== after.incarnation;
  if (before?.state === after.state && before.reason === after.reason && !isNewStart) return [];
  const name = `group ${after.index}`;
  const nodes = after.members.map(({ nodeName }) => nodeName).join(', ');
  const why = [name, after.message].filter(Boolean).join(': ');
  if (isPreempted(after)) {
    return before && isPreempted(before) ? [] : [warning('Preempted', why)];
  }
  switch (after.state) {
    case 'Starting':
      if (!isNewStart) return [warning('CanaryFailed', `${name} stopped answering on ${nodes}`)];
      return [normal('GroupStarted', `${name}, start ${after.incarnation}, on ${nodes}`)];
    case 'Ready':
      return [normal('GroupReady', `${name} answers on ${nodes}`)];
    case 'Stopping':
      return [stoppingHappening(after, why)];
    case 'Waiting':
      return waitingHappenings(after, why);
    case 'Backoff':
      return [normal('GroupBackoff', `${name} starts again after ${after.notBefore ?? 'a pause'}`)];
    default:
      return [];
  }
};

const waitingHappenings = ({ reason, preemption }: GroupStatus, why: string): Happening[] => {
  if (reason === undefined) return [];
  return [preemption ? normal(reason, why) : warning(reason, why)];
};

const stoppingHappening = (group: GroupStatus, why: string): Happening => {
  const isFailure =
    group.after === 'Restart' || group.after === 'Hold' || group.reason?.startsWith('Node');
  return {
    type: isFailure ? 'Warning' : 'Normal',
    reason: group.reason ?? 'Deleting',
    message: why,
  };
};

const abnormalHappenings = (
  before: ModelDeploymentStatus,
  after: ModelDeploymentStatus,
): Happening[] =>
  ['Stalled', 'Degraded'].flatMap((type) => {
    const now = findCondition(after.conditions, type);
    const then = findCondition(before.conditions, type);
    const isKnown =
      then?.reason === now?.reason && (type === 'Stalled' || then?.message === now?.message);
    // The store tells of every problem in the YAML itself.
    if (now?.reason === 'InvalidSpec') return [];
    return now && !isKnown ? [warning(now.reason, now.message)] : [];
  });

const readyHappenings = (
  before: ModelDeploymentStatus,
  after: ModelDeploymentStatus,
): Happening[] => {
  const isNew =
    isConditionTrue(after.conditions, 'Ready') && !isConditionTrue(before.conditions, 'Ready');
  return isNew
    ? [normal('RolledOut', findCondition(after.conditions, 'Ready')?.message ?? '')]
    : [];
};

const normal = (reason: string, message: string): Happening => ({
  type: 'Normal',
  reason,
  message,
});

const warning = (reason: string, message: string): Happening => ({
  type: 'Warning',
  reason,
  message,
});
