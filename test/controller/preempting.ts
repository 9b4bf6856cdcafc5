import type { GroupStatus, ModelDeploymentSpec } from '../../src/resources/types.ts';
import { profile, spec } from '../planner/builders.ts';
import { harness } from './harness.ts';
import type { Harness } from './harness.ts';

const single = { parallelism: { strategy: 'Single' as const } };
export const tensor2 = { parallelism: { strategy: 'Tensor' as const, tensorSize: 2 } };
export const keyOf = (name: string) =>
  ({ kind: 'ModelDeployment', namespace: 'default', name }) as const;

/** Of a model so large that each of its ranks fills a node. */
export const full = (overrides: Partial<ModelDeploymentSpec> = {}): ModelDeploymentSpec => {
  const wide = overrides.parallelism?.strategy === 'Tensor';
  const uri = `file:///models/${wide ? 'wide' : 'm'}`;
  return spec({ ...single, model: { uri, servedNames: [] }, ...overrides });
};
export const preemptor = (overrides: Partial<ModelDeploymentSpec> = {}): ModelDeploymentSpec =>
  full({ priority: 10, preemptionPolicy: 'PreemptLowerPriority', ...overrides });

export const worldOf = (nodes: string[], seed = 1): Harness => {
  const world = harness(nodes, seed);
  world.models.set('file:///models/m', profile(30));
  world.models.set('file:///models/wide', profile(60));
  return world;
};

export const groupsOf = (world: Harness, name: string): GroupStatus[] =>
  world.deployment(name).status.groups;
export const groupOf = (world: Harness, name: string, index = 0): GroupStatus | undefined =>
  groupsOf(world, name).find((group) => group.index === index);
export const homeOf = (world: Harness, name: string): string =>
  groupsOf(world, name)
    .map(({ members }) => members.map(({ nodeName }) => nodeName).join('+'))
    .join();
export const reasonOf = (world: Harness, name: string, index = 0): string | undefined =>
  groupOf(world, name, index)?.reason;

/** Ready on the nodes, one after another. */
export const serving = async (
  nodes: string[],
  deployments: Record<string, ModelDeploymentSpec>,
): Promise<Harness> => {
  const world = worldOf(nodes);
  await world.startControlPlane();
  for (const [name, each] of Object.entries(deployments)) {
    world.state.applyDeployment(name, each);
    await world.runUntil(`${name} is ready`, () => world.isReady(name));
  }
  // Until every node has reported.
  await world.run(45);
  return world;
};

/** A new control plane with a router, through which every group that serves has a request under way. */
export const busy = async (world: Harness): Promise<{ end: () => void }> => {
  let underWay = 1;
  await world.startControlPlane({ requestsUnderWay: () => underWay });
  await world.run(10);
  const end = (): void => {
    underWay = 0;
  };
  return { end };
};
