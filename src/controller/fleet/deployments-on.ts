import type { ModelDeployment } from '../../resources/types.ts';

const indexes = new WeakMap<readonly ModelDeployment[], Map<string, ModelDeployment[]>>();

/**
 * Deployments whose status has groups with members on the node, in the order of the list. With hundreds of
 * deployments on a thousand nodes one look at all of them per node is most of the controller's work: the Kubernetes
 * store gives the same list until something changes, and so long this looks once.
 */
export const deploymentsOn = (
  nodeName: string,
  deployments: readonly ModelDeployment[],
): readonly ModelDeployment[] => {
  const index = indexes.get(deployments) ?? indexOf(deployments);
  indexes.set(deployments, index);
  return index.get(nodeName) ?? [];
};

const indexOf = (deployments: readonly ModelDeployment[]): Map<string, ModelDeployment[]> => {
  const index = new Map<string, ModelDeployment[]>();
  for (const deployment of deployments) {
    const { groups } = deployment.status;
    const names = groups.flatMap(({ members }) => members.map(({ nodeName }) => nodeName));
    for (const nodeName of new Set(names)) {
      const there = index.get(nodeName);
      if (there) there.push(deployment);
      else index.set(nodeName, [deployment]);
    }
  }
  return index;
};
