import type { GroupStatus, ModelDeploymentSpec } from '../../resources/types.ts';

export interface RolloutInput {
  groups: readonly GroupStatus[];
  spec: Pick<ModelDeploymentSpec, 'replicas' | 'strategy' | 'minReadySeconds' | 'paused'> &
    RestartRequest;
  /** What groups are moved to; undefined while something is in the way. */
  revision: string | undefined;
  now: Date;
}

type RestartRequest = Pick<ModelDeploymentSpec, 'restartTime'>;

/** One look at a rollout. */
export interface RolloutStep {
  /** Groups that give way now; between them they take no more than may be missing. */
  replaced: ReadonlySet<number>;
  /** Groups that exist beyond `replicas` for now. */
  surge: ReadonlySet<number>;
  /** Nothing is moved: groups start again as what they were. */
  isHeld: boolean;
  /** Groups that the rollout has not reached serve: they are worth keeping until there is a place for it. */
  isOldServing: boolean;
  /** What is rolled out fails: old groups that go down come back as what they were, or it would take them one by one. */
  isFailing: boolean;
}

/** Stays at its revision: below the partition of a rolling update. */
export const isHeldBack = (
  { index }: Pick<GroupStatus, 'index'>,
  { strategy }: Pick<ModelDeploymentSpec, 'strategy'>,
): boolean => strategy.type === 'RollingUpdate' && index < strategy.rollingUpdate.partition;

/** Runs, or would start again as, something else than what is asked for now. */
export const isOutdated = (
  group: GroupStatus,
  spec: Pick<ModelDeploymentSpec, 'strategy'> & RestartRequest,
  revision: string | undefined,
): boolean =>
  !isHeldBack(group, spec) && (group.revision !== revision || isRestartDue(group, spec));

/** A group that holds no place has nothing to restart. */
const isRestartDue = (
  { restartTime, members }: GroupStatus,
  { restartTime: wanted }: RestartRequest,
): boolean =>
  wanted !== undefined &&
  members.length > 0 &&
  (restartTime === undefined || Date.parse(restartTime) < Date.parse(wanted));

/** Time until a Ready group counts as available; 0 or less: it does. */
export const availableInMs = (
  { readyTime }: GroupStatus,
  { minReadySeconds }: Pick<ModelDeploymentSpec, 'minReadySeconds'>,
  now: Date,
): number =>
  readyTime === undefined ? 0 : Date.parse(readyTime) + minReadySeconds * 1000 - now.getTime();

export const isAvailable = (
  group: GroupStatus,
  spec: Pick<ModelDeploymentSpec, 'minReadySeconds'>,
  now: Date,
): boolean => group.state === 'Ready' && availableInMs(group, spec, now) <= 0;

/**
 * What a rollout may do now. Recreate replaces every outdated group at once. RollingUpdate replaces those that do
 * not serve first, for they cost nothing, then as many that serve as leave `replicas - maxUnavailable` serving,
 * from the highest index down, as StatefulSets do. Pure.
 */
export const rolloutStep = (input: RolloutInput): RolloutStep => {
  const { groups, spec } = input;
  const surge = surgeIndexes(input);
  const isFailing = isRolloutFailing(input);
  const isHeld = isRolloutHeld(input);
  const wanted = groups.filter(({ index }) => index < spec.replicas || surge.has(index));
  const outdated = wanted
    .filter((group) => isRunningOutdated(group, input))
    .toSorted((left, right) => right.index - left.index);
  const isOldServing =
    spec.strategy.type === 'RollingUpdate' && outdated.some(({ state }) => state === 'Ready');
  const replaced = isHeld
    ? new Set<number>()
    : indexes(dueOf(input, { wanted, outdated, isFailing }));
  return { replaced, surge, isHeld, isOldServing, isFailing };
};

interface Standing {
  wanted: readonly GroupStatus[];
  /** From the highest index down. */
  outdated: readonly GroupStatus[];
  isFailing: boolean;
}

const dueOf = (
  { spec, now }: RolloutInput,
  { wanted, outdated, isFailing }: Standing,
): readonly GroupStatus[] => {
  if (spec.strategy.type === 'Recreate') return outdated;
  const ready = wanted.filter(({ state }) => state === 'Ready');
  const available = ready.filter((group) => isAvailable(group, spec, now));
  const idle = isFailing ? [] : outdated.filter(({ state }) => state !== 'Ready');
  // Those that answer but are not available yet serve, too: they count for what must go on serving.
  const spare = Math.max(0, ready.length - minimumOf(spec));
  const young = outdated.filter((group) => ready.includes(group) && !available.includes(group));
  const old = outdated.filter((group) => available.includes(group));
  const due = old.slice(0, Math.max(0, available.length - minimumOf(spec)));
  return [...idle, ...[...young, ...due].slice(0, spare)];
};

/** As with Deployments, a pause is for the rollout: what is there is scaled and healed meanwhile. */
const isRolloutHeld = ({ spec, revision }: RolloutInput): boolean =>
  spec.paused || revision === undefined;

const isRolloutFailing = ({ groups, spec, revision }: RolloutInput): boolean =>
  spec.strategy.type === 'RollingUpdate' &&
  groups.some(
    (group) => group.state !== 'Ready' && group.restarts > 0 && group.revision === revision,
  );

const indexes = (groups: readonly GroupStatus[]): ReadonlySet<number> =>
  new Set(groups.map(({ index }) => index));

const minimumOf = ({ replicas, strategy }: RolloutInput['spec']): number =>
  replicas - strategy.rollingUpdate.maxUnavailable;

const isRunningOutdated = (group: GroupStatus, { spec, revision }: RolloutInput): boolean =>
  (group.state === 'Starting' || group.state === 'Ready') && isOutdated(group, spec, revision);

/**
 * Groups beyond `replicas` come while outdated ones run, and stay until what they stand in for serves. They go when
 * nothing is on its way any more: a group that waits for room may be waiting for theirs.
 */
const surgeIndexes = (input: RolloutInput): ReadonlySet<number> => {
  const { groups, spec, revision, now } = input;
  const { strategy, replicas } = spec;
  if (strategy.type !== 'RollingUpdate') return new Set();
  const { maxSurge } = strategy.rollingUpdate;
  const isHeld = isRolloutHeld(input);
  const extra = groups.filter(
    (group) =>
      group.index >= replicas &&
      group.state !== 'Stopping' &&
      // One that serves makes up for those that do not yet, also after the user changed their mind.
      (isHeld || group.revision === revision || isAvailable(group, spec, now)),
  );
  const present = extra.filter(({ index }) => index < replicas + maxSurge);
  const own = groups.filter(({ index }) => index < replicas);
  const outdated =
    revision === undefined ? 0 : own.filter((group) => isRunningOutdated(group, input)).length;
  const availableOf = (some: readonly GroupStatus[]): GroupStatus[] =>
    some.filter((group) => isAvailable(group, spec, now));
  const isShort =
    availableOf(own).length < minimumOf(spec) &&
    own.some((group) => group.state !== 'Waiting' && !isAvailable(group, spec, now));
  const missing = minimumOf(spec) - availableOf([...own, ...present]).length;
  // Where maxSurge was lowered meanwhile, what is promised comes before what is allowed.
  const needed = availableOf(extra.filter((group) => !present.includes(group)));
  const fresh = isHeld ? 0 : Math.min(maxSurge, outdated);
  return new Set([
    ...(outdated > 0 || isShort ? indexes(present) : []),
    ...(isShort ? indexes(needed.slice(0, Math.max(0, missing))) : []),
    ...Array.from({ length: fresh }, (_, nth) => replicas + nth),
  ]);
};
