import { asSeenBy } from '../../controller/deployment/preemption.ts';
import { holdsMemory } from '../../controller/fleet/plan-nodes.ts';
import type { Holders } from '../../controller/fleet/plan-nodes.ts';
import { preempt } from '../../planner/fleet/preemption.ts';
import type { PlacedGroup } from '../../planner/fleet/preemption.ts';
import type { PlanNode, PlanResult } from '../../planner/types.ts';
import type { GroupStatus, ModelDeployment } from '../../resources/types.ts';

/** A group that holds memory, or has some kept for it. */
export interface Holding {
  group: GroupStatus;
  placed: PlacedGroup;
}

/** What the deployment finds held by another one. */
export const holdingsOf = (other: ModelDeployment, deployment: ModelDeployment): Holding[] => {
  const { metadata, spec, status } = asSeenBy(deployment, other);
  return status.groups.flatMap((group) => {
    const ranks = holdsMemory(group) ? group.members : group.preemption?.room;
    if (!ranks) return [];
    const placed = {
      deployment: `${metadata.namespace ?? 'default'}/${metadata.name}`,
      index: group.index,
      priority: spec.priority,
      isReady: group.state === 'Ready',
      since: group.readyTime ?? group.progressTime ?? '',
      ranks,
    };
    return [{ group, placed }];
  });
};

/** With their priorities, where these say anything to one that has `priority`. */
export const holdersOf = (holdings: readonly Holding[], priority: number): Holders => {
  const isTold = [priority, ...holdings.map(({ placed }) => placed.priority)].some(
    (each) => each !== 0,
  );
  const held = holdings.flatMap(({ placed }) =>
    placed.ranks.map(({ nodeName, memoryBytes }) => {
      const who = isTold ? `${placed.deployment} (priority ${placed.priority})` : placed.deployment;
      return { nodeName, who, memoryBytes };
    }),
  );
  return Map.groupBy(held, ({ nodeName }) => nodeName);
};

/**
 * A plan beside all of them; where there is none, one in place of groups of lower priority, if the deployment may
 * preempt. If all that is missing is that it may, the refusal says so.
 */
export const placeAmong = (
  others: readonly Holding[],
  {
    deployment,
    nodesBeside,
    planOn,
  }: {
    deployment: ModelDeployment;
    nodesBeside: (holdings: readonly Holding[]) => PlanNode[];
    planOn: (nodes: readonly PlanNode[]) => PlanResult;
  },
): { result: PlanResult; victims: PlacedGroup[] } => {
  const { priority, preemptionPolicy, paused } = deployment.spec;
  const nodes = nodesBeside(others);
  const result = planOn(nodes);
  if (result.ok || result.terminal || paused) return { result, victims: [] };
  const groups = others.map(({ placed }) => placed);
  const victims = preempt({ priority, nodes, groups, plan: planOn })?.victims ?? [];
  if (victims.length === 0) return { result, victims };
  if (preemptionPolicy === 'Never') {
    const help = `spec.preemptionPolicy: PreemptLowerPriority would let it take the place of ${victimsText(victims)}`;
    return { result: { ...result, message: `${result.message}; ${help}` }, victims: [] };
  }
  const staying = others.filter(({ placed }) => !victims.includes(placed));
  return { result: planOn(nodesBeside(staying)), victims };
};

/** "inference/chat group 0 (priority 0) on mini-1, mini-2; …". */
export const victimsText = (victims: readonly PlacedGroup[]): string =>
  victims
    .map(({ deployment, index, priority, ranks }) => {
      const names = ranks.map(({ nodeName }) => nodeName).join(', ');
      return `${deployment} group ${index} (priority ${priority}) on ${names}`;
    })
    .join('; ');
