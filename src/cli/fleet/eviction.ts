import { evictingTaint } from '../../controller/fleet/fleet.ts';
import { isConditionTrue } from '../../resources/conditions.ts';
import type { ClusterNode, GroupStatus, ModelDeployment } from '../../resources/types.ts';
import { drainTaintKey } from './node-table.ts';

/** A group with a rank on a node that is drained. */
export interface Evicted {
  namespace: string;
  deployment: string;
  group: number;
  /** By rank. */
  nodeNames: string[];
  state: GroupStatus['state'];
}

export const groupsOn = (nodeName: string, deployments: readonly ModelDeployment[]): Evicted[] =>
  deployments.flatMap(({ metadata, status }) =>
    status.groups
      .filter(({ members }) => members.some((member) => member.nodeName === nodeName))
      .map(({ index, members, state }) => ({
        namespace: metadata.namespace ?? 'default',
        deployment: metadata.name,
        group: index,
        nodeNames: members.map((member) => member.nodeName),
        state,
      })),
  );

/**
 * Why a drain of this node would take away what a deployment promises, one sentence each: groups are stopped as a
 * whole, and fewer than `replicas − maxUnavailable`, at least one, would be left serving. Groups that do not serve
 * now have nothing to lose.
 */
export const brokenPromises = (
  nodeName: string,
  deployments: readonly ModelDeployment[],
): string[] =>
  deployments.flatMap((deployment) => {
    const { metadata, spec, status } = deployment;
    const leaving = groupsOn(nodeName, [deployment]).filter(({ state }) => state === 'Ready');
    if (leaving.length === 0 || spec.replicas === 0) return [];
    const minimum = Math.max(1, spec.replicas - spec.strategy.rollingUpdate.maxUnavailable);
    const left = status.readyReplicas - leaving.length;
    if (left >= minimum) return [];
    const name = `${metadata.namespace ?? 'default'}/${metadata.name}`;
    return [
      `${name} promises ${minimum} serving, has ${status.readyReplicas}, and ${left} would be left until its ranks run elsewhere`,
    ];
  });

/** Deployments on the node that tolerate the taint of a drain: their ranks would stay for ever. */
export const tolerating = (
  node: ClusterNode,
  deployments: readonly ModelDeployment[],
): string[] => {
  const tainted = { ...node, spec: { ...node.spec, taints: [drainTaint] } };
  return deployments
    .filter((deployment) => groupsOn(node.metadata.name, [deployment]).length > 0)
    .filter(({ spec }) => evictingTaint(tainted, spec.placement.tolerations) === undefined)
    .map(({ metadata }) => `${metadata.namespace ?? 'default'}/${metadata.name}`);
};

export const drainTaint = { key: drainTaintKey, effect: 'NoExecute' } as const;

/** Ranks that the node's daemon still reports as alive. What a lost node said last is no news. */
export const liveRanks = ({ status }: ClusterNode): ClusterNode['status']['ranks'] =>
  isConditionTrue(status.conditions, 'Ready')
    ? status.ranks.filter(({ state }) => state !== 'Stopped' && state !== 'Failed')
    : [];
