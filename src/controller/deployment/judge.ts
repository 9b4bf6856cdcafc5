import type { ErrorKind } from '../../base/errors.ts';
import type { PlanResult } from '../../planner/types.ts';
import type { GroupStatus, ModelDeployment } from '../../resources/types.ts';

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
  updateRevision: string | undefined;
  now: Date;
}

/** What the groups add up to. */
export interface Verdict {
  wanted: number;
  ready: GroupStatus[];
  /** Ready for minReadySeconds. */
  available: GroupStatus[];
  updated: GroupStatus[];
  /** Every wanted group is of the newest revision and available, and no other exists. */
  isComplete: boolean;
  /** Nothing goes on without the user, or for too long. */
  stalled?: Why;
  /** Why it is not complete. */
  pending?: Why;
}

export const judge = (input: JudgeInput): Verdict => {
  const { deployment, groups, updateRevision, blocked, now } = input;
  const { spec, metadata } = deployment;
  const wanted = metadata.deletionTimestamp ? 0 : spec.replicas;
  const ready = groups.filter(({ state }) => state === 'Ready');
  const available = ready.filter((group) => availableInMs(group, deployment, now) <= 0);
  const updated = groups.filter(({ revision }) => revision === updateRevision);
  const stalled = metadata.deletionTimestamp ? undefined : stall(input);
  const isComplete =
    !metadata.deletionTimestamp &&
    !stalled &&
    !blocked &&
    groups.length === wanted &&
    groups.every((group) => updated.includes(group) && available.includes(group));
  const base = { wanted, ready, available, updated, isComplete };
  if (isComplete) return base;
  const pending = stalled ?? pendingWhy(input, available);
  return stalled ? { ...base, stalled, pending } : { ...base, pending };
};

/** Time until a Ready group counts as available; 0 or less: it does. */
export const availableInMs = (
  { readyTime }: GroupStatus,
  { spec }: Pick<ModelDeployment, 'spec'>,
  now: Date,
): number =>
  readyTime === undefined ? 0 : Date.parse(readyTime) + spec.minReadySeconds * 1000 - now.getTime();

const stall = (input: JudgeInput): Why | undefined =>
  input.blocked?.kind === 'terminal'
    ? input.blocked
    : (impossiblePlan(input) ?? failedGroup(input) ?? deadlineExceeded(input));

const impossiblePlan = ({ placements }: JudgeInput): Why | undefined => {
  for (const { result } of placements) {
    if (!result.ok && result.terminal) return { reason: result.reason, message: result.message };
  }
  return undefined;
};

const failedGroup = ({ groups }: JudgeInput): Why | undefined => {
  const failed =
    groups.find(({ state }) => state === 'Failed') ??
    groups.find(({ state, after }) => state === 'Stopping' && after === 'Hold');
  if (!failed) return undefined;
  const { index, reason = 'GroupFailed', message = '' } = failed;
  return { reason, message: `group ${index}: ${message}` };
};

const deadlineExceeded = (input: JudgeInput): Why | undefined => {
  const { deployment, now } = input;
  const late = unfinished(input).find(
    (group) => deadlineInMs(group, deployment, now) <= 0 && !deployment.spec.paused,
  );
  if (!late) return undefined;
  const seconds = deployment.spec.progressDeadlineSeconds;
  return {
    reason: 'ProgressDeadlineExceeded',
    message: `group ${late.index} made no progress for ${seconds} s: ${late.state}, ${late.message ?? late.reason ?? ''}`,
  };
};

/** Groups that the progress deadline runs for. */
export const unfinished = ({
  groups,
  updateRevision,
}: Pick<JudgeInput, 'groups' | 'updateRevision'>): GroupStatus[] =>
  groups.filter(({ state, revision }) => state !== 'Ready' || revision !== updateRevision);

export const deadlineInMs = (
  { progressTime }: GroupStatus,
  { spec }: Pick<ModelDeployment, 'spec'>,
  now: Date,
): number =>
  progressTime === undefined
    ? Infinity
    : Date.parse(progressTime) + spec.progressDeadlineSeconds * 1000 - now.getTime();

const pendingWhy = (input: JudgeInput, available: readonly GroupStatus[]): Why => {
  const { deployment, blocked, groups, updateRevision } = input;
  const { spec, metadata } = deployment;
  if (metadata.deletionTimestamp) {
    return { reason: 'Deleting', message: `${groups.length} groups are being stopped` };
  }
  if (blocked) return blocked;
  if (spec.paused) return { reason: 'Paused', message: 'spec.paused is true' };
  const first = groups.find((group) => !available.includes(group));
  if (first?.state === 'Ready') {
    const message = `group ${first.index} is Ready, but not yet for ${spec.minReadySeconds} s`;
    return { reason: 'AwaitingGroups', message };
  }
  if (first) return groupWhy(first);
  if (groups.some(({ revision }) => revision !== updateRevision)) {
    return { reason: 'RollingOut', message: `moving to revision ${updateRevision ?? ''}` };
  }
  return { reason: 'AwaitingGroups', message: `${groups.length} of ${spec.replicas} groups exist` };
};

const groupWhy = ({ index, state, reason, message, notBefore }: GroupStatus): Why => {
  const text = `group ${index} is ${state}: ${message ?? reason ?? ''}`;
  if (state !== 'Backoff') return { reason: reason ?? 'AwaitingGroups', message: text };
  return { reason: 'GroupBackoff', message: `${text}; next start after ${notBefore ?? 'a pause'}` };
};
