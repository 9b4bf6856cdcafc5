import type { Metrics } from '../../base/metrics.ts';
import { isConditionTrue } from '../../resources/conditions.ts';
import type { GroupStatus, ModelDeploymentStatus } from '../../resources/types.ts';
import { isPreempted } from '../groups/transitions.ts';
import type { ObjectKey } from '../ports.ts';

/** Countable things that happened between two states of a deployment. */
export interface Tally {
  rolloutsStarted: number;
  rolloutsFinished: number;
  /** By spec.strategy.onFailure; a spec that was reverted is counted where its revision is recognised. */
  rolledBackOnFailure: number;
  /** Starts of groups that had been started before, whatever the cause. */
  groupRestarts: number;
  /** Failures held against a group: it backs off, and is given up after maxGroupRestarts. */
  groupFailures: number;
  /** Groups that began to leave for a deployment of higher priority. */
  groupPreemptions: number;
}

/** Follows from what is persisted, like events: a restart of the control plane counts nothing twice. Pure. */
export const tallyBetween = (
  before: ModelDeploymentStatus,
  after: ModelDeploymentStatus,
): Tally => {
  const earlier = new Map(before.groups.map((group) => [group.index, group]));
  const count = (happened: (now: GroupStatus, then: GroupStatus) => boolean): number =>
    after.groups.filter((group) => {
      const then = earlier.get(group.index);
      return then !== undefined && happened(group, then);
    }).length;
  const { currentRevision, updateRevision } = after;
  return {
    rolloutsStarted: has(updateRevision !== undefined && updateRevision !== before.updateRevision),
    rolloutsFinished: has(
      currentRevision !== undefined && currentRevision !== before.currentRevision,
    ),
    rolledBackOnFailure: has(
      isConditionTrue(after.conditions, 'RolledBack') &&
        !isConditionTrue(before.conditions, 'RolledBack'),
    ),
    groupRestarts: count((now, then) => then.incarnation > 0 && now.incarnation > then.incarnation),
    groupFailures: count((now, then) => now.restarts > then.restarts),
    groupPreemptions: count((now, then) => isPreempted(now) && !isPreempted(then)),
  };
};

const has = (happened: boolean): number => (happened ? 1 : 0);

export interface ChangeCounters {
  /** The status was written. */
  deploymentWritten(
    deployment: { namespace: string; name: string },
    before: ModelDeploymentStatus,
    after: ModelDeploymentStatus,
  ): void;
  nodeWritten(): void;
  /** The user applied an old spec again. */
  specReverted(deployment: { namespace: string; name: string }): void;
}

/**
 * Namespace and name of deployments are labels here because alerts and dashboards ask "which one"; there are as
 * many as the users' YAML names.
 */
export const countChanges = (metrics: Metrics): ChangeCounters => {
  const labels = ['namespace', 'name'] as const;
  const started = metrics.counter({
    name: 'espalier_rollouts_started_total',
    help: 'Rollouts that began: another revision is wanted.',
    labels,
  });
  const finished = metrics.counter({
    name: 'espalier_rollouts_finished_total',
    help: 'Rollouts that ended with every group Ready on the new revision.',
    labels,
  });
  const rolledBack = metrics.counter({
    name: 'espalier_rollouts_rolled_back_total',
    help: 'Returns to an earlier revision: Spec, the user applied it again; OnFailure, the rollout failed.',
    labels: [...labels, 'cause'],
  });
  const restarts = metrics.counter({
    name: 'espalier_group_restarts_total',
    help: 'Starts of groups that had been started before, whatever the cause.',
    labels,
  });
  const failures = metrics.counter({
    name: 'espalier_group_failures_total',
    help: 'Failures of groups that are held against them.',
    labels,
  });
  const preemptions = metrics.counter({
    name: 'espalier_group_preemptions_total',
    help: 'Groups that left their place to a deployment of higher priority.',
    labels,
  });
  const writes = metrics.counter({
    name: 'espalier_status_writes_total',
    help: 'Statuses that were written; none while nothing changes.',
    labels: ['kind'],
  });
  const kinds: ObjectKey['kind'][] = ['ModelDeployment', 'ClusterNode'];
  for (const kind of kinds) writes.add({ kind }, 0);
  return {
    deploymentWritten: (deployment, before, after) => {
      const tally = tallyBetween(before, after);
      writes.add({ kind: 'ModelDeployment' });
      started.add(deployment, tally.rolloutsStarted);
      finished.add(deployment, tally.rolloutsFinished);
      rolledBack.add({ ...deployment, cause: 'OnFailure' }, tally.rolledBackOnFailure);
      restarts.add(deployment, tally.groupRestarts);
      failures.add(deployment, tally.groupFailures);
      preemptions.add(deployment, tally.groupPreemptions);
    },
    nodeWritten: () => writes.add({ kind: 'ClusterNode' }),
    specReverted: (deployment) => rolledBack.add({ ...deployment, cause: 'Spec' }),
  };
};
