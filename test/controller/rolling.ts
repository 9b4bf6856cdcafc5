import assert from 'node:assert/strict';
import type { GroupStatus, ModelDeploymentSpec } from '../../src/resources/types.ts';
import { spec } from '../planner/builders.ts';
import { harness } from './harness.ts';
import type { Harness } from './harness.ts';

type RollingUpdate = ModelDeploymentSpec['strategy']['rollingUpdate'];

/** Three groups of one rank each, moved some at a time; the context length tells revisions apart. */
export const rolling = (
  rollingUpdate: Partial<RollingUpdate>,
  contextLength: number,
  overrides: Partial<ModelDeploymentSpec> = {},
): ModelDeploymentSpec =>
  spec({
    replicas: 3,
    parallelism: { strategy: 'Single' },
    runtime: { ...spec().runtime, contextLength },
    ...overrides,
    strategy: {
      type: 'RollingUpdate',
      rollingUpdate: { maxUnavailable: 1, maxSurge: 0, partition: 0, ...rollingUpdate },
      onFailure: overrides.strategy?.onFailure ?? 'Hold',
    },
  });

export const groups = (world: Harness): GroupStatus[] => world.deployment('m').status.groups;
export const serving = (world: Harness): number => groups(world).filter(isReady).length;
const isReady = ({ state }: GroupStatus): boolean => state === 'Ready';
export const contexts = (world: Harness): (number | undefined)[] =>
  groups(world).map(({ contextLength }) => contextLength);

/** Half seconds of simulated time until the probe holds; tells the fewest groups that served and the most that were. */
export const extremesUntil = async (world: Harness, probe: () => boolean) => {
  const seen = { fewest: Infinity, most: 0 };
  for (let step = 0; step < 2000 && !probe(); step += 1) {
    await world.run(0.5);
    seen.fewest = Math.min(seen.fewest, serving(world));
    seen.most = Math.max(seen.most, groups(world).length);
  }
  assert.ok(probe(), JSON.stringify(world.deployment('m').status, null, 1));
  return seen;
};

export const rolledOut = async (nodes: string[], first: ModelDeploymentSpec): Promise<Harness> => {
  const world = harness(nodes);
  world.state.applyDeployment('m', first);
  await world.startControlPlane();
  await world.runUntil('first revision', () => world.isReady('m'));
  return world;
};

/** SIGKILL to every rank of one group. */
export const killGroup = (world: Harness, index: number): void => {
  for (const node of world.fleet.nodes) {
    for (const id of node.ranks.keys()) if (id.startsWith(`default/m/${index}/`)) node.kill(id);
  }
};

/** The node of a group of one rank ends without a word, and for good. */
export const crashNodeOf = (world: Harness, index: number): void => {
  const { nodeName = '' } = groups(world).find((group) => group.index === index)?.members[0] ?? {};
  world.fleet.node(nodeName).crash();
};
