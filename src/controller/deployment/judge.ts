import type { ErrorKind } from '../../base/errors.ts';
import type { PlanResult } from '../../planner/types.ts';
import type { GroupStatus, ModelDeployment } from '../../resources/types.ts';
import { isAvailable, isHeldBack, isOutdated } from '../groups/rollout.ts';
import { deadlineInMs, unfinished } from './progress.ts';
import type { Progress } from './progress.ts';
import type { FailedRevision } from './rollback.ts';

export interface Why {
  reason: string;
  message: string;
}

/** Where the steps of a reconcile stopped before its groups could be started, and by which kind of error. */
export interface Blocked extends Why {
  kind: ErrorKind;
}

export interface JudgeInput {
  deployment: ModelDeployment;
  groups: readonly GroupStatus[];
  placements: readonly { index: number; result: PlanResult }[];
  blocked: Blocked | undefined;
  /** What spec asks for. */
  updateRevision: string | undefined;
  /** What groups are moved to: another one after a rollback. */
  effectiveRevision: string | undefined;
  /** The failure after which groups went back to it. */
  failed: FailedRevision | undefined;
  progress: Progress | undefined;
  now: Date;
}

/** What the groups add up to. */
export interface Verdict {
  wanted: number;
  ready: GroupStatus[];
  /** Ready for minReadySeconds. */
  available: GroupStatus[];
  updated: GroupStatus[];
  /** It is rolled out, and nothing is Stalled. */
  isComplete: boolean;
  /** Why the rollout cannot succeed, if that is because of groups that it moves. */
  failure?: Why;
  /** Nothing goes on without the user, or for too long. */
  stalled?: Why;
  /** Why it is not complete. */
  pending?: Why;
  /** What spec.paused keeps from happening; what is there may be scaled and healed meanwhile. */
  paused?: Why;
}

const wantedOf = ({ spec, metadata }: ModelDeployment): number =>
  metadata.deletionTimestamp ? 0 : spec.replicas;

/** Every wanted group is available and up to date, or held back by a partition, and no other exists. */
export const isRolledOut = ({
  deployment,
  groups,
  updateRevision,
  blocked,
  now,
}: Omit<JudgeInput, 'progress'>): boolean =>
  !deployment.metadata.deletionTimestamp &&
  !blocked &&
  groups.length === wantedOf(deployment) &&
  groups.every(
    (group) =>
      isAvailable(group, deployment.spec, now) &&
      !isOutdated(group, deployment.spec, updateRevision),
  );

export const judge = (input: JudgeInput): Verdict => {
  const { deployment, groups, updateRevision, now } = input;
  const { spec, metadata } = deployment;
  const wanted = wantedOf(deployment);
  const ready = groups.filter(({ state }) => state === 'Ready');
  const available = ready.filter((group) => isAvailable(group, spec, now));
  const updated = groups.filter(({ revision }) => revision === updateRevision);
  const failure = failureOf(
    input,
    groups.filter((group) => !isKeptOld(group, input)),
  );
  const stalled = metadata.deletionTimestamp
    ? undefined
    : stall(input, failure ?? failureOf(input, groups));
  const isComplete = !stalled && isRolledOut(input);
  const base = { wanted, ready, available, updated, isComplete, ...(failure ? { failure } : {}) };
  if (isComplete) return base;
  const paused = pausedWhy(input);
  const pending = stalled ?? pendingWhy(input, available, paused);
  return { ...base, pending, ...(stalled ? { stalled } : {}), ...(paused ? { paused } : {}) };
};

const stall = (input: JudgeInput, failure: Why | undefined): Why | undefined => {
  const { blocked, failed, effectiveRevision = '' } = input;
  if (blocked?.kind === 'terminal') return blocked;
  if (failed) {
    const message = `went back to revision ${effectiveRevision}: ${failed.message}`;
    return { reason: failed.reason, message };
  }
  return impossiblePlan(input) ?? failure;
};

/** A surge group is one more than was asked for: the rollout may go on without. */
const impossiblePlan = ({ deployment, placements }: JudgeInput): Why | undefined => {
  for (const { index, result } of placements) {
    if (index < deployment.spec.replicas && !result.ok && result.terminal)
      return { reason: result.reason, message: result.message };
  }
  return undefined;
};

/** What becomes of it says nothing of the revision that spec asks for. */
const isKeptOld = (group: GroupStatus, { deployment, updateRevision }: JudgeInput): boolean =>
  isHeldBack(group, deployment.spec) && group.revision !== updateRevision;

const failureOf = (input: JudgeInput, groups: readonly GroupStatus[]): Why | undefined =>
  failedGroup(groups) ?? deadlineExceeded(input, groups);

const failedGroup = (groups: readonly GroupStatus[]): Why | undefined => {
  const failed =
    groups.find(({ state }) => state === 'Failed') ??
    groups.find(({ state, after }) => state === 'Stopping' && after === 'Hold');
  if (!failed) return undefined;
  const { index, reason = 'GroupFailed', message = '' } = failed;
  return { reason, message: `group ${index}: ${message}` };
};

const deadlineExceeded = (input: JudgeInput, groups: readonly GroupStatus[]): Why | undefined => {
  const { spec } = input.deployment;
  const late = unfinished({ ...input, groups });
  if (late.length === 0 || deadlineInMs(spec, input, input.now) > 0) return undefined;
  const what = (late.find(({ state }) => state !== 'Ready') ?? late[0])!;
  const text = `group ${what.index} is ${what.state}, ${what.message ?? what.reason ?? ''}`;
  return {
    reason: 'ProgressDeadlineExceeded',
    message: `no group came further for ${spec.progressDeadlineSeconds} s: ${text}`,
  };
};

const pendingWhy = (
  input: JudgeInput,
  available: readonly GroupStatus[],
  paused: Why | undefined,
): Why => {
  const { deployment, blocked, groups, effectiveRevision } = input;
  const { spec, metadata } = deployment;
  if (metadata.deletionTimestamp) {
    return { reason: 'Deleting', message: `${groups.length} groups are being stopped` };
  }
  if (blocked) return blocked;
  const first = groups.find((group) => !available.includes(group));
  if (first?.state === 'Ready') {
    const message = `group ${first.index} is Ready, but not yet for ${spec.minReadySeconds} s`;
    return { reason: 'AwaitingGroups', message };
  }
  if (first) return groupWhy(first);
  if (paused) return paused;
  const outdated = outdatedOf(input);
  if (outdated.length > 0) {
    const left = `${groups.length - outdated.length} of ${groups.length} groups are`;
    return { reason: 'RollingOut', message: `${left} at revision ${effectiveRevision ?? ''}` };
  }
  return { reason: 'AwaitingGroups', message: `${groups.length} of ${spec.replicas} groups exist` };
};

const outdatedOf = ({ groups, deployment, effectiveRevision }: JudgeInput): GroupStatus[] =>
  groups.filter((group) => isOutdated(group, deployment.spec, effectiveRevision));

const pausedWhy = (input: JudgeInput): Why | undefined => {
  const { deployment, groups } = input;
  const { paused, replicas } = deployment.spec;
  const outdated = outdatedOf(input).length;
  if (!paused || (outdated === 0 && groups.length >= replicas)) return undefined;
  const message =
    groups.length === 0
      ? 'spec.paused is true, and nothing was rolled out before'
      : `spec.paused is true: ${outdated} of ${groups.length} groups stay as they are`;
  return { reason: 'Paused', message };
};

const groupWhy = ({ index, state, reason, message, notBefore }: GroupStatus): Why => {
  const text = `group ${index} is ${state}: ${message ?? reason ?? ''}`;
  if (state !== 'Backoff') return { reason: reason ?? 'AwaitingGroups', message: text };
  return { reason: 'GroupBackoff', message: `${text}; next start after ${notBefore ?? 'a pause'}` };
};
