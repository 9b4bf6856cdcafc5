import { conditionTime } from '../../resources/conditions.ts';
import type {
  GroupMember,
  GroupStatus,
  ModelDeployment,
  ModelDeploymentStatus,
} from '../../resources/types.ts';
import { isAvailable, isOutdated } from '../groups/rollout.ts';
import { isPreempted } from '../groups/transitions.ts';

export type Progress = NonNullable<ModelDeploymentStatus['progress']>;

export interface ProgressInput {
  deployment: ModelDeployment;
  groups: readonly GroupStatus[];
  /** What groups are moved to. */
  effectiveRevision: string | undefined;
  isRolledOut: boolean;
  now: Date;
}

/**
 * Progress is to come further than ever, not to start once more: a group that crashes and starts again renews no
 * deadline. What was rolled out and fails then, and each new generation or revision, begins anew. Nothing is noted
 * while the groups stay as they are.
 */
export const progressOf = (input: ProgressInput): Progress | undefined => {
  const { deployment, groups, effectiveRevision, isRolledOut, now } = input;
  const { status, metadata } = deployment;
  if (isRolledOut || metadata.deletionTimestamp) return undefined;
  const before = status.progress;
  const isNew =
    status.observedGeneration !== metadata.generation ||
    status.effectiveRevision !== effectiveRevision ||
    // What others take away and give back says nothing of the rollout.
    groups.filter(isPreempted).length !== status.groups.filter(isPreempted).length;
  const isSame =
    groups.length === status.groups.length &&
    groups.every((group, index) => group === status.groups[index]);
  if (!isNew && isSame) return before;
  const mark = groups.reduce((sum, group) => sum + stepsOf(group, input), 0);
  return before && !isNew && mark <= before.mark ? before : { time: conditionTime(now), mark };
};

const phases = ['Pending', 'Staging', 'Rendezvous', 'Loading', 'Canary', 'Ready'];

/** How many steps a group has behind it; any is more than the one before. */
const stepsOf = (group: GroupStatus, { deployment, effectiveRevision, now }: ProgressInput) => {
  const { spec } = deployment;
  const { state, members } = group;
  if (isOutdated(group, spec, effectiveRevision)) return isRunning(group) ? 0 : 1;
  if (state !== 'Starting' && state !== 'Ready') return 2;
  if (state === 'Starting') return 3 + members.reduce((sum, member) => sum + phaseOf(member), 0);
  const started = 3 + members.length * phases.length;
  return isAvailable(group, spec, now) ? started + 1 : started;
};

const isRunning = ({ state }: GroupStatus): boolean =>
  state === 'Starting' || state === 'Ready' || state === 'Draining';

const phaseOf = ({ state }: GroupMember): number => Math.max(0, phases.indexOf(state));

/** Groups that the progress deadline runs for. */
export const unfinished = ({
  groups,
  deployment,
  effectiveRevision,
}: Pick<ProgressInput, 'groups' | 'deployment' | 'effectiveRevision'>): GroupStatus[] =>
  groups.filter(
    (group) => group.state !== 'Ready' || isOutdated(group, deployment.spec, effectiveRevision),
  );

/**
 * Time until the rollout counts as failed; Infinity: never. Draining has a deadline of its own, and who has to leave for
 * another deployment has none.
 */
export const deadlineInMs = (
  { progressDeadlineSeconds, paused }: ModelDeployment['spec'],
  { progress, groups }: { progress?: Progress | undefined; groups: readonly GroupStatus[] },
  now: Date,
): number => {
  const drains = groups.flatMap(({ drainDeadlineTime }) => drainDeadlineTime ?? []);
  const times = [...(progress ? [progress.time] : groups.flatMap(timesOf)), ...drains];
  if (paused || times.length === 0 || groups.some(isPreempted)) return Infinity;
  const lastMs = Math.max(...times.map((time) => Date.parse(time)));
  return lastMs + progressDeadlineSeconds * 1000 - now.getTime();
};

/** Of objects that were written when nobody noted progress of the whole. */
const timesOf = ({ progressTime, readyTime }: GroupStatus): string[] =>
  [progressTime, readyTime].flatMap((time) => time ?? []);
