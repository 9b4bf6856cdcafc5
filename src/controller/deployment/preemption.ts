import { sameContent } from '../../base/canonical-json.ts';
import { preempt } from '../../planner/fleet/preemption.ts';
import type { PlacedGroup } from '../../planner/fleet/preemption.ts';
import type { PlanNode, PlanResult } from '../../planner/types.ts';
import type {
  GroupStatus,
  ModelDeployment,
  ModelDeploymentStatus,
  PreemptionStatus,
} from '../../resources/types.ts';
import { holdsMemory } from '../fleet/plan-nodes.ts';
import { ownerOf } from '../groups/rank-id.ts';
import type { Wait } from '../groups/transitions.ts';
import { deploymentKey } from '../keys.ts';
import type { ObjectKey } from '../ports.ts';
import { compareTurns, wantsPlace } from './turns.ts';

/** Whether its groups may stop those of others. A pause starts nothing, and so stops nobody. */
export const mayPreempt = ({ metadata, spec }: ModelDeployment): boolean =>
  spec.preemptionPolicy === 'PreemptLowerPriority' && !spec.paused && !metadata.deletionTimestamp;

/** It may stop others now or later. */
export const isPreemptor = (deployment: ModelDeployment): boolean =>
  mayPreempt(deployment) && wantsPlace(deployment);

/** Groups that wait for others to leave, and still want to. */
const wishesOf = (deployment: ModelDeployment): GroupStatus[] =>
  mayPreempt(deployment)
    ? deployment.status.groups.filter(
        ({ index, preemption }) => preemption && index < deployment.spec.replicas,
      )
    : [];

/**
 * Groups of this deployment that have to leave, and who takes their place: those that a deployment of higher priority
 * waits for. Follows from what is persisted and from the specs of now, so that nobody leaves for a wish that is gone.
 */
export const evictionsOf = (
  deployment: ModelDeployment,
  all: readonly ModelDeployment[],
): ReadonlyMap<number, string> => {
  const evictions = new Map<number, string>();
  const { namespace, deployment: name } = ownerOf(deployment);
  for (const other of all) {
    if (other.spec.priority <= deployment.spec.priority) continue;
    for (const awaited of awaitedIn({ groups: wishesOf(other) })) {
      if (awaited.namespace !== namespace || awaited.name !== name) continue;
      const isStill = deployment.status.groups.some(
        ({ index, incarnation }) => index === awaited.index && incarnation === awaited.incarnation,
      );
      if (!isStill) continue;
      evictions.set(awaited.index, `${nameOf(other)} (priority ${other.spec.priority})`);
    }
  }
  return evictions;
};

/** Deployments with groups that are waited for, and were not before. */
export const newlyAwaited = (
  before: ModelDeploymentStatus,
  after: ModelDeploymentStatus,
): ObjectKey[] => {
  const known = awaitedIn(before);
  const isKnown = (awaited: Awaited): boolean => known.some((each) => sameContent(each, awaited));
  return awaitedIn(after)
    .filter((awaited) => !isKnown(awaited))
    .map(deploymentKey);
};

const awaitedIn = ({ groups }: Pick<ModelDeploymentStatus, 'groups'>): Awaited[] =>
  groups.flatMap(({ preemption }) => preemption?.awaits ?? []);

/** A deployment as its next in turn has to take it: what is kept for those after that one is free. */
export const asSeenBy = (deployment: ModelDeployment, other: ModelDeployment): ModelDeployment => {
  const { status } = other;
  if (!status.groups.some(({ preemption }) => preemption)) return other;
  const kept = compareTurns(other, deployment) < 0 ? wishesOf(other) : [];
  const groups = status.groups.map((group) => {
    const { preemption: _, ...rest } = group;
    return kept.includes(group) ? group : rest;
  });
  return { ...other, status: { ...status, groups } };
};

/** What a group waits for when others have to leave: undefined if it has no place even without them. */
export const waitForRoom = ({
  deployment,
  others,
  beside,
  nodes,
  plan,
}: {
  deployment: ModelDeployment;
  others: readonly ModelDeployment[];
  /** Other groups of the deployment. */
  beside: readonly GroupStatus[];
  nodes: readonly PlanNode[];
  plan: (nodes: readonly PlanNode[]) => PlanResult;
}): Wait | undefined => {
  const own = { ...deployment, status: { ...deployment.status, groups: [...beside] } };
  const placed = new Map([...others, own].flatMap((each) => placedGroups(each, deployment)));
  const found = preempt({
    priority: deployment.spec.priority,
    nodes,
    groups: [...placed.keys()],
    plan,
  });
  if (!found || found.victims.length === 0) return undefined;
  const { plan: planned, victims } = found;
  const preemption: PreemptionStatus = {
    room: planned.ranks.map(({ nodeName, memory }) => ({
      nodeName,
      memoryBytes: memory.totalBytes,
    })),
    awaits: victims.flatMap((victim) => placed.get(victim) ?? []).slice(0, mostAwaited),
  };
  const message = `waits for ${victims.map(departure).join('; ')}`;
  return { reason: 'AwaitingPreemption', message, preemption };
};

/** The CRD's bound. Those beyond it are asked once these leave. */
const mostAwaited = 256;

const departure = ({ deployment, index, priority, ranks }: PlacedGroup): string =>
  `${deployment} group ${index} (priority ${priority}) to leave ${ranks.map(({ nodeName }) => nodeName).join(', ')}`;

type Awaited = PreemptionStatus['awaits'][number];

/** What holds memory, and how status names it. */
const placedGroups = (
  other: ModelDeployment,
  deployment: ModelDeployment,
): [PlacedGroup, Awaited][] => {
  const { namespace, deployment: name } = ownerOf(other);
  return other.status.groups.filter(holdsMemory).map((group) => {
    const { index, incarnation, members } = group;
    const placed = {
      deployment: nameOf(other),
      index,
      priority: other.spec.priority,
      isReady: group.state === 'Ready',
      since: group.readyTime ?? group.progressTime ?? '',
      isLeaving: isLeaving(group) && !isBack(group, other, deployment),
      ranks: members,
    };
    return [placed, { namespace, name, index, incarnation }];
  });
};

const isLeaving = ({ state, after }: GroupStatus): boolean =>
  (state === 'Draining' || state === 'Stopping') && after !== 'Restart';

/** It plans anew before the room is anybody else's. */
const isBack = (
  { after = 'Replan' }: GroupStatus,
  other: ModelDeployment,
  deployment: ModelDeployment,
): boolean => after === 'Replan' && compareTurns(other, deployment) < 0;

const nameOf = (deployment: ModelDeployment): string => {
  const { namespace, deployment: name } = ownerOf(deployment);
  return `${namespace}/${name}`;
};
