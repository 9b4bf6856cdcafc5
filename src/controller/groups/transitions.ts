import { backoffMs } from '../../base/random.ts';
import type { Random } from '../../base/random.ts';
import type { Plan } from '../../planner/types.ts';
import { conditionTime, maxMessageLength } from '../../resources/conditions.ts';
import type {
  GroupMember,
  GroupStatus,
  ModelDeploymentSpec,
  PreemptionStatus,
} from '../../resources/types.ts';
import type { GroupFailure } from './failure.ts';

/** Longest pause between two starts of a group. */
export const maxBackoffMs = 300_000;

/** What a group is in every state; all else belongs to the state that it is in. */
type Core = Pick<
  GroupStatus,
  'index' | 'revision' | 'incarnation' | 'restarts' | 'restartTime' | 'members'
>;

const coreOf = (group: GroupStatus): Core => {
  const { index, revision, incarnation, restarts, restartTime, members } = group;
  const core = { index, revision, incarnation, restarts, members };
  return restartTime === undefined ? core : { ...core, restartTime };
};

/** What the assignments of its ranks are made of, beside its members. */
const placementOf = ({ engine, interconnectMode, contextLength, degradedBy }: GroupStatus) => ({
  ...(engine === undefined ? {} : { engine }),
  ...(interconnectMode === undefined ? {} : { interconnectMode }),
  ...(contextLength === undefined ? {} : { contextLength }),
  ...(degradedBy === undefined ? {} : { degradedBy }),
});

export const newGroup = (index: number, revision: string, now: Date): GroupStatus => ({
  index,
  revision,
  incarnation: 0,
  restarts: 0,
  state: 'Waiting',
  progressTime: conditionTime(now),
  members: [],
});

/** No place yet, or not any more. The time of the last progress stays while it waits. */
export const waiting = (
  group: GroupStatus,
  { reason, message, preemption }: Wait,
  now: Date,
): GroupStatus => ({
  ...coreOf(group),
  state: 'Waiting',
  reason,
  message: message.slice(0, maxMessageLength),
  progressTime: (group.state === 'Waiting' ? group.progressTime : undefined) ?? conditionTime(now),
  ...(preemption ? { preemption } : {}),
  members: [],
});

/** What it waits for. */
export interface Wait {
  reason: string;
  message: string;
  preemption?: PreemptionStatus;
}

interface Start {
  plan: Plan;
  revision: string;
  incarnation: number;
  /** What spec asked for when it started, so that it is not restarted for that again. */
  restartTime: string | undefined;
}

/** A first start on the ranks of a plan. */
export const started = (
  group: GroupStatus,
  { plan, revision, incarnation, restartTime }: Start,
  now: Date,
): GroupStatus => ({
  ...coreOf(group),
  ...starting(now),
  revision,
  incarnation,
  ...(restartTime === undefined ? {} : { restartTime }),
  engine: plan.engine,
  interconnectMode: plan.interconnectMode,
  contextLength: plan.contextLength,
  ...(plan.degradedBy.length > 0 ? { degradedBy: plan.degradedBy } : {}),
  members: plan.ranks.map(
    ({ nodeName, rank, tensorRank, stage, firstLayer, endLayer, threads, memory }) => ({
      nodeName,
      rank,
      tensorRank,
      stage,
      layers: `${firstLayer}-${endLayer - 1}`,
      threads,
      memoryBytes: memory.totalBytes,
      state: 'Pending',
    }),
  ),
});

/** Another start on the same nodes. */
export const restarted = (group: GroupStatus, incarnation: number, now: Date): GroupStatus => ({
  ...coreOf(group),
  ...placementOf(group),
  ...starting(now),
  incarnation,
  members: group.members.map((member): GroupMember => ({ ...member, state: 'Pending' })),
});

const starting = (now: Date) => ({
  state: 'Starting' as const,
  reason: 'AwaitingRanks',
  progressTime: conditionTime(now),
});

/** Serves what is under way, gets nothing new, and stops then or at its deadline. */
export const draining = (
  group: GroupStatus,
  why: StopReason,
  deadline: Date,
  now: Date,
): GroupStatus => ({
  ...stopping(group, why, now),
  state: 'Draining',
  ...(group.endpoint === undefined ? {} : { endpoint: group.endpoint }),
  drainDeadlineTime: conditionTime(deadline),
});

export interface StopReason {
  after: NonNullable<GroupStatus['after']>;
  reason: string;
  message: string;
}

/** A deployment of higher priority takes its place; it comes back when there is room. */
export const preemptedBy = (taker: string): StopReason => ({
  after: 'Replan',
  reason: 'Preempted',
  message: `${taker} takes its place`,
});

export const isPreempted = ({ reason }: Pick<GroupStatus, 'reason'>): boolean =>
  reason === 'Preempted';

export const stopping = (group: GroupStatus, why: StopReason, now: Date): GroupStatus => ({
  ...coreOf(group),
  ...placementOf(group),
  state: 'Stopping',
  ...why,
  message: why.message.slice(0, maxMessageLength),
  progressTime: conditionTime(now),
});

/** A group that failed stops as a whole; the restart limit turns a restart into waiting for the user. */
export const failedGroup = (
  group: GroupStatus,
  failure: GroupFailure,
  policy: ModelDeploymentSpec['restartPolicy'],
  { now, random }: { now: Date; random: Random },
): GroupStatus => {
  const { after, reason, message } = failure;
  if (after !== 'Restart') return stopping(group, { after, reason, message }, now);
  const failures = group.restarts + 1;
  if (failures > policy.maxGroupRestarts) {
    const limit = `${failures} failures in a row, restartPolicy allows ${policy.maxGroupRestarts} restarts; last: ${reason}: ${message}`;
    const why = { after: 'Hold' as const, reason: 'RestartLimitExceeded', message: limit };
    return { ...stopping(group, why, now), restarts: failures };
  }
  const pauseMs = backoffMs(
    group.restarts,
    { baseMs: policy.backoffSeconds * 1000, maxMs: maxBackoffMs },
    random,
  );
  return {
    ...stopping(group, { after, reason, message }, now),
    restarts: failures,
    notBefore: new Date(now.getTime() + pauseMs).toISOString(),
  };
};

/** All ranks of a stopping group are gone. Undefined when the group is to go as well. */
export const released = (group: GroupStatus, now: Date): GroupStatus | undefined => {
  const why = { reason: group.reason ?? 'RankFailed', message: group.message ?? '' };
  switch (group.after ?? 'Replan') {
    case 'Remove':
      return undefined;
    case 'Replan':
      return waiting(group, why, now);
    case 'Restart': {
      const { notBefore } = group;
      const pause = notBefore === undefined ? {} : { notBefore };
      return {
        ...coreOf(group),
        ...placementOf(group),
        members: group.members.map((member) => ({ ...member, state: 'Stopped' })),
        state: 'Backoff',
        ...why,
        ...pause,
        ...progress(group),
      };
    }
    default:
      return {
        ...coreOf(group),
        ...placementOf(group),
        state: 'Failed',
        ...why,
        ...progress(group),
      };
  }
};

const progress = ({ progressTime }: GroupStatus) =>
  progressTime === undefined ? {} : { progressTime };

/** Forgets past failures: the user changed something, so the next start is a first one. */
export const forgiven = (group: GroupStatus): GroupStatus => {
  const { notBefore: _, ...rest } = group;
  return { ...rest, restarts: 0 };
};
