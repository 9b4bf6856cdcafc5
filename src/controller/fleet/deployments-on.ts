import type { ModelDeployment } from '../../resources/types.ts';

/** By node name: positions in the list. */
type Index = Map<string, Set<number>>;

let latest: { deployments: readonly ModelDeployment[]; index: Index } = {
  deployments: [],
  index: new Map(),
};

/**
 * Deployments whose status has groups with members on the node, in the order of the list. With hundreds of
 * deployments on a thousand nodes one look at all of them per node is most of the controller's work: this looks only
 * at those that are others than in the list before.
 */
export const deploymentsOn = (
  nodeName: string,
  deployments: readonly ModelDeployment[],
): readonly ModelDeployment[] => {
  if (latest.deployments !== deployments) {
    latest = { deployments, index: indexOf(deployments, latest) };
  }
  const positions = [...(latest.index.get(nodeName) ?? [])];
  return positions
    .toSorted((left, right) => left - right)
    .map((position) => deployments[position]!);
};

/** The index of the list before, brought forward; a new one when something came or went. */
const indexOf = (deployments: readonly ModelDeployment[], before: typeof latest): Index => {
  const isSameLength = before.deployments.length === deployments.length;
  const known = isSameLength ? before.deployments : [];
  const index: Index = isSameLength ? before.index : new Map();
  for (const [position, deployment] of deployments.entries()) {
    const old = known[position];
    if (old === deployment) continue;
    if (old) for (const nodeName of nodesOf(old)) index.get(nodeName)?.delete(position);
    for (const nodeName of nodesOf(deployment)) {
      const there = index.get(nodeName) ?? new Set();
      index.set(nodeName, there.add(position));
    }
  }
  return index;
};

const nodesOf = ({ status }: ModelDeployment): string[] =>
  status.groups.flatMap(({ members }) => members.map(({ nodeName }) => nodeName));
