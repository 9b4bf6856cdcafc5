import { sameContent } from '../../base/canonical-json.ts';
import type { Random } from '../../base/random.ts';
import type { PlanResult } from '../../planner/types.ts';
import type { GroupStatus, ModelDeploymentSpec } from '../../resources/types.ts';
import { evictingTaint } from '../fleet/fleet.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { groupFailure } from './failure.ts';
import { holders, nextIncarnation, nodesWithLiveRanks } from './holders.ts';
import { observed, proven } from './observe.ts';
import type { Owner } from './rank-id.ts';
import { isHeldBack, isOutdated, rolloutStep } from './rollout.ts';
import type { RolloutStep } from './rollout.ts';
import {
  draining,
  failedGroup,
  forgiven,
  isPreempted,
  maxBackoffMs,
  newGroup,
  preemptedBy,
  released,
  restarted,
  started,
  stopping,
  waiting,
} from './transitions.ts';
import type { StopReason, Wait } from './transitions.ts';

/** Everything that decides what becomes of the groups. */
export interface AdvanceInput {
  owner: Owner;
  groups: readonly GroupStatus[];
  spec: ModelDeploymentSpec;
  isDeleting: boolean;
  /** The user changed spec, or the model's folder changed: failures of before no longer count. */
  isForgiven: boolean;
  /** How groups are planned, and what older revisions give way to; undefined while the deployment is being deleted. */
  target: Target | undefined;
  /** What was fully rolled out last: new groups that are not to run the newest revision run it. */
  currentRevision: string | undefined;
  /** Revisions that exist; a group cannot run one that does not. */
  knownRevisions: ReadonlySet<string>;
  /** Groups with a degraded plan for which the plan that was asked for has been possible for long enough. */
  returnable: ReadonlySet<number>;
  /** Groups that leave their place to a deployment of higher priority, and its name. */
  evictions: ReadonlyMap<number, string>;
  fleet: Fleet;
  /** Through the router, of a group's endpoint; undefined where there is no router, and nothing to drain. */
  requestsUnderWay: ((endpoint: string) => number) | undefined;
  now: Date;
  random: Random;
}

export interface Target {
  /** Undefined while something is in the way of it: groups are then healed as what they are. */
  revision: string | undefined;
  /** A plan for one group of this revision beside all others. */
  place: (index: number, groups: readonly GroupStatus[], revision: string) => PlanResult;
  /** Who has to leave so that a group without a place has one; undefined if that would not help, or may not be. */
  awaitRoom: (index: number, groups: readonly GroupStatus[], revision: string) => Wait | undefined;
}

export interface Advanced {
  groups: GroupStatus[];
  /** What the planner said, for each group that it was asked about. */
  placements: { index: number; result: PlanResult }[];
}

/** More state changes than a group can go through at once. */
const maxSteps = 8;

/**
 * The next state of every group. The group is the unit: all its ranks start, stop and fail together. Pure but
 * for `random`, which only spreads backoffs.
 */
export const advanceGroups = (input: AdvanceInput): Advanced => {
  const placements: Advanced['placements'] = [];
  const groups = new Map(input.groups.map((group) => [group.index, group]));
  const rollout = rolloutStep({ ...input, revision: input.target?.revision });
  const place = (index: number, revision: string): PlanResult | undefined => {
    const result = input.target?.place(index, [...groups.values()], revision);
    if (result) placements.push({ index, result });
    return result;
  };
  const awaitRoom = (index: number, revision: string): Wait | undefined => {
    const wait = input.target?.awaitRoom(index, [...groups.values()], revision);
    if (wait) {
      const { reason, message } = wait;
      const refused = { terminal: false, rejected: [], options: [] };
      placements.push({ index, result: { ok: false, reason, message, ...refused } });
    }
    return wait;
  };
  const turn: Turn = { ...input, rollout, awaitRoom };
  for (const index of wantedIndexes(input, rollout)) {
    if (groups.has(index) || !input.target) continue;
    const revision = firstRevision(index, turn, input.target);
    if (revision !== undefined) groups.set(index, newGroup(index, revision, input.now));
  }
  for (const index of [...groups.keys()].toSorted((left, right) => left - right)) {
    for (let step = 0; step < maxSteps; step += 1) {
      const group = groups.get(index);
      const next = group && advance(group, turn, place);
      if (next === group) break;
      if (next) groups.set(index, next);
      else groups.delete(index);
      if (next && mustBeTold(group, next)) break;
    }
  }
  const sorted = [...groups.values()].toSorted((left, right) => left.index - right.index);
  return { groups: sorted, placements };
};

/**
 * What nodes say means nothing for a group that starts or stops until they had the document that says so; and a
 * request may still be on its way to a group until the router knows that it drains.
 */
const mustBeTold = (before: GroupStatus | undefined, after: GroupStatus): boolean =>
  before?.state !== after.state && ['Starting', 'Draining', 'Stopping'].includes(after.state);

const wantedIndexes = ({ spec, isDeleting }: AdvanceInput, { surge }: RolloutStep): number[] =>
  isDeleting ? [] : [...Array.from({ length: spec.replicas }, (_, index) => index), ...surge];

/** Of a group that does not exist yet; undefined: there is nothing that it may run. */
const firstRevision = (
  index: number,
  { groups, spec, currentRevision, knownRevisions, rollout }: Turn,
  { revision }: Target,
): string | undefined => {
  if (!rollout.isHeld && !isHeldBack({ index }, spec)) return revision;
  const standing = [currentRevision, ...groups.map((group) => group.revision)];
  const known = standing.find((each) => each !== undefined && knownRevisions.has(each));
  return known ?? (rollout.isHeld ? undefined : revision);
};

/** What a group runs when it starts next: what it ran, where the rollout must not take it. */
const nextRevision = (
  group: GroupStatus,
  { spec, knownRevisions, rollout }: Turn,
  { revision = group.revision }: Target,
): string => {
  const isKept = rollout.isHeld || rollout.isFailing || isHeldBack(group, spec);
  return isKept && knownRevisions.has(group.revision) ? group.revision : revision;
};

type Place = (index: number, revision: string) => PlanResult | undefined;

/**
 * Whether the rollout has a group that does not serve start anew. While others of the old ones serve it needs a place
 * first, or else it would be given up for nothing.
 */
const isTaken = (group: GroupStatus, input: Turn, place: Place): boolean => {
  const { spec, rollout, target } = input;
  if (rollout.isHeld || rollout.isFailing || target?.revision === undefined) return false;
  if (!isOutdated(group, spec, target.revision)) return false;
  return !rollout.isOldServing || place(group.index, target.revision)?.ok === true;
};

/** For the revision that it is to run, or, while others of the old ones serve, for the one that it ran. */
const placeSomehow = (
  group: GroupStatus,
  input: Turn,
  target: Target,
  place: Place,
): { revision: string; result: PlanResult | undefined } => {
  const revision = nextRevision(group, input, target);
  const result = place(group.index, revision);
  const mayStay = input.rollout.isOldServing && input.knownRevisions.has(group.revision);
  if (!result || result.ok || !mayStay || revision === group.revision) return { revision, result };
  const asBefore = place(group.index, group.revision);
  return asBefore?.ok ? { revision: group.revision, result: asBefore } : { revision, result };
};

interface Turn extends AdvanceInput {
  rollout: RolloutStep;
  awaitRoom: (index: number, revision: string) => Wait | undefined;
}

/** One step; the same object when there is none, undefined when the group goes away. */
const advance = (group: GroupStatus, input: Turn, place: Place): GroupStatus | undefined => {
  const evicted = isWanted(group, input) ? evict(group, input) : undefined;
  if (evicted) return evicted;
  switch (group.state) {
    case 'Waiting':
      return advanceWaiting(group, input, place);
    case 'Starting':
    case 'Ready':
      return advanceRunning(group, input, place);
    case 'Draining':
      return advanceDraining(group, input);
    case 'Stopping':
      return advanceStopping(group, input);
    case 'Backoff':
      return advanceBackoff(group, input, place);
    default:
      return advanceFailed(group, input, place);
  }
};

/** One that goes anyway, and would be back, learns that its place is taken. */
const evict = (group: GroupStatus, input: Turn): GroupStatus | undefined => {
  const taker = input.evictions.get(group.index);
  if (taker === undefined || isPreempted(group)) return undefined;
  const why = preemptedBy(taker);
  switch (group.state) {
    case 'Starting':
    case 'Ready':
      return leave(group, why, input);
    case 'Draining':
    case 'Stopping':
      return group.after === 'Replan' || group.after === 'Restart'
        ? { ...group, ...why }
        : undefined;
    case 'Backoff':
      return waiting(group, why, input.now);
    default:
      return undefined;
  }
};

const isWanted = ({ index }: GroupStatus, { spec, isDeleting, rollout }: Turn): boolean =>
  !isDeleting && (index < spec.replicas || rollout.surge.has(index));

const advanceWaiting = (group: GroupStatus, input: Turn, place: Place): GroupStatus | undefined => {
  const { owner, fleet, now, target } = input;
  if (!isWanted(group, input)) return undefined;
  const stay = (wait: Wait): GroupStatus => {
    const next = waiting(group, wait, now);
    return sameContent(next, group) ? group : next;
  };
  if (!target) return group;
  const leftovers = nodesWithLiveRanks(owner, group.index, fleet);
  if (leftovers.length > 0) {
    const message = `ranks of an earlier start still run on ${leftovers.join(', ')}`;
    return stay({ reason: 'AwaitingRanks', message });
  }
  const { revision, result } = placeSomehow(group, input, target, place);
  if (!result) return group;
  if (!result.ok) {
    const wait = result.terminal ? undefined : input.awaitRoom(group.index, revision);
    // Who has its place says more than who else is in the way by now.
    if (!wait && !result.terminal && isPreempted(group)) return group;
    return stay(wait ?? { reason: result.reason, message: result.message });
  }
  const incarnation = nextIncarnation(owner, group, fleet);
  const fresh = input.isForgiven || group.revision !== revision ? forgiven(group) : group;
  const { restartTime } = input.spec;
  return started(fresh, { plan: result.plan, revision, incarnation, restartTime }, now);
};

const advanceRunning = (group: GroupStatus, input: Turn, place: Place): GroupStatus => {
  const { owner, fleet, now, spec, target } = input;
  if (!isWanted(group, input)) {
    const reason = input.isDeleting ? 'Deleting' : 'ScalingDown';
    return leave(group, { after: 'Remove', reason, message: '' }, input);
  }
  const replan = (reason: string, message: string): GroupStatus =>
    leave(group, { after: 'Replan', reason, message }, input);
  if (!input.knownRevisions.has(group.revision)) {
    return replan('PlanChanged', `its revision ${group.revision} does not exist any more`);
  }
  const { revision } = target ?? {};
  if (revision !== undefined && givesWay(group, input, revision, place)) {
    return group.revision === revision
      ? replan('RollingOut', `spec.restartTime is ${spec.restartTime ?? ''}`)
      : replan('RollingOut', `makes room for revision ${revision}`);
  }
  if (input.returnable.has(group.index)) {
    return replan('PlanChanged', 'the plan that was asked for is possible again');
  }
  const current = observed(owner, proven(group, now), fleet, now);
  const failure = groupFailure(owner, group, fleet, spec.placement.tolerations);
  return failure ? failedGroup(current, failure, spec.restartPolicy, input) : current;
};

/** A group that serves stops only when nobody waits for an answer of it. */
const leave = (group: GroupStatus, why: StopReason, input: Turn): GroupStatus => {
  const { spec, now, requestsUnderWay } = input;
  if (group.state !== 'Ready' || !requestsUnderWay) return stopping(group, why, now);
  return draining(group, why, new Date(now.getTime() + spec.drainTimeoutSeconds * 1000), now);
};

const isBusy = ({ endpoint }: GroupStatus, { requestsUnderWay }: Turn): boolean =>
  endpoint !== undefined && requestsUnderWay !== undefined && requestsUnderWay(endpoint) > 0;

/** What goes wrong while it drains ends it, and counts for nothing: it was to stop anyway. */
const advanceDraining = (group: GroupStatus, input: Turn): GroupStatus => {
  const { owner, fleet, now, spec } = input;
  const { after = 'Replan', reason = 'RollingOut', message = '' } = group;
  const why = { after: isWanted(group, input) ? after : ('Remove' as const), reason, message };
  const hasFailed = groupFailure(owner, group, fleet, spec.placement.tolerations) !== undefined;
  const isOver = drainLeftMs(group, now) <= 0 || !isBusy(group, input);
  return hasFailed || isOver ? stopping(group, why, now) : group;
};

/** Bounded, so that a wall clock that was set back does not keep a group for ever. */
const maxDrainMs = 3_600_000;

const drainLeftMs = ({ drainDeadlineTime }: GroupStatus, now: Date): number =>
  drainDeadlineTime === undefined
    ? 0
    : Math.min(Date.parse(drainDeadlineTime) - now.getTime(), maxDrainMs);

/** A rolling update stops no group that serves before there is a place for what replaces it. */
const givesWay = (group: GroupStatus, input: Turn, revision: string, place: Place): boolean => {
  const { rollout } = input;
  if (!rollout.replaced.has(group.index)) return false;
  return !rollout.isOldServing || place(group.index, revision)?.ok === true;
};

const advanceStopping = (group: GroupStatus, input: Turn): GroupStatus | undefined => {
  const { owner, fleet, now } = input;
  if (!isWanted(group, input) && group.after !== 'Remove') return { ...group, after: 'Remove' };
  if (input.isForgiven && group.after === 'Hold') {
    // The user changed something before it was gone: what failed says nothing of what comes.
    return { ...forgiven(group), after: 'Replan', reason: 'RollingOut', message: '' };
  }
  if (holders(owner, group, fleet).length === 0) return released(group, now);
  return observed(owner, group, fleet, now);
};

const advanceBackoff = (group: GroupStatus, input: Turn, place: Place): GroupStatus | undefined => {
  const { owner, fleet, now, target } = input;
  if (!isWanted(group, input)) return undefined;
  if (input.isForgiven && group.notBefore !== undefined) return forgiven(group);
  if (!target) return group;
  if (isTaken(group, input, place)) {
    return waiting(forgiven(group), { reason: 'RollingOut', message: '' }, now);
  }
  const gone = group.members.find(({ nodeName }) => isGone(nodeName, input));
  if (gone) {
    // What looked like a failure of the group was the end of a node: no pause, and no mark against the group.
    const why = { reason: 'NodeLost', message: `${gone.nodeName} is lost or being deleted` };
    return waiting({ ...group, restarts: Math.max(0, group.restarts - 1) }, why, now);
  }
  if (remainingBackoffMs(group, now) > 0) return group;
  if (nodesWithLiveRanks(owner, group.index, fleet).length > 0) return group;
  const mayStay = group.degradedBy === undefined && input.knownRevisions.has(group.revision);
  const places = group.members.every(({ nodeName }) => canStart(nodeName, input));
  if (places && mayStay) return restarted(group, nextIncarnation(owner, group, fleet), now);
  const why = { reason: group.reason ?? 'GroupBackoff', message: group.message ?? '' };
  return waiting(group, why, now);
};

/** Bounded, so that a wall clock that was set back does not hold a group for ever. */
export const remainingBackoffMs = ({ notBefore }: GroupStatus, now: Date): number =>
  notBefore === undefined ? 0 : Math.min(Date.parse(notBefore) - now.getTime(), maxBackoffMs);

const isGone = (nodeName: string, { fleet }: AdvanceInput): boolean => {
  const view = fleet.get(nodeName);
  return view?.presence === 'Lost' || !view || view.node.metadata.deletionTimestamp !== undefined;
};

const canStart = (nodeName: string, { fleet, spec }: AdvanceInput): boolean => {
  const view = fleet.get(nodeName);
  return (
    view?.presence === 'Present' &&
    !view.node.metadata.deletionTimestamp &&
    !view.node.spec.unschedulable &&
    evictingTaint(view.node, spec.placement.tolerations) === undefined
  );
};

const advanceFailed = (group: GroupStatus, input: Turn, place: Place): GroupStatus | undefined => {
  if (!isWanted(group, input)) return undefined;
  const { target, now } = input;
  if (!target || (!input.isForgiven && !isTaken(group, input, place))) return group;
  const why = { reason: 'RollingOut', message: '' };
  return waiting(forgiven(group), why, now);
};
