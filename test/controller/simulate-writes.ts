import type {
  ClusterNode,
  ModelDeployment,
  ModelDeploymentRevision,
  ModelDeploymentSpec,
} from '../../src/resources/types.ts';
import { spec } from '../planner/builders.ts';
import { harness, nodeSpec } from './harness.ts';
import type { Harness } from './harness.ts';

const seeds = [1, 2, 3, 4];
const stepsPerSeed = 120;
const nodeNames = ['a', 'b', 'c'];

export type Written = ModelDeployment | ClusterNode;

/** The objects and revisions that control planes write over a few seeded runs in which things go wrong. */
export const simulateWrites = async (): Promise<{
  written: Written[];
  revisions: Map<string, ModelDeploymentRevision>;
}> => {
  const revisions = new Map<string, ModelDeploymentRevision>();
  const byContent = new Map<string, Written>();
  for (const seed of seeds) {
    for (const object of await simulate(seed, revisions)) byContent.set(contentOf(object), object);
  }
  return { written: [...byContent.values()], revisions };
};

/** All that decides what clients make of it; times and counts are many and decide nothing. */
const contentOf = ({ kind, metadata, status }: Written): string => {
  const isCurrent = status.observedGeneration === metadata.generation;
  const text = JSON.stringify([kind, metadata.deletionTimestamp !== undefined, isCurrent, status]);
  return text.replaceAll(/\d+/g, '0');
};

const pick = <T>(world: Harness, list: readonly T[]): T =>
  list[Math.floor(world.random() * list.length)] as T;

const someSpec = (world: Harness): ModelDeploymentSpec =>
  spec({
    ...pick(world, [
      { parallelism: { strategy: 'Tensor' as const, tensorSize: 2 } },
      { parallelism: { strategy: 'Tensor' as const, tensorSize: 4 } },
      { parallelism: { strategy: 'Pipeline' as const, pipelineSize: 2 } },
      { parallelism: { strategy: 'Single' as const } },
      // Refused: this release has no such thing.
      { parallelism: { strategy: 'Single' as const, expertSize: 2 } },
    ]),
    replicas: pick(world, [0, 1, 1, 2, 5]),
    paused: world.random() < 0.15,
    minReadySeconds: pick(world, [0, 5]),
    restartPolicy: { maxGroupRestarts: pick(world, [1, 50]), backoffSeconds: 1 },
  });

/** Every object with a status that a control plane wrote while things went wrong. */
const simulate = async (
  seed: number,
  revisions: Map<string, ModelDeploymentRevision>,
): Promise<Written[]> => {
  const world = harness(nodeNames, seed);
  const objects: Written[] = [];
  const disturbances: (() => unknown)[] = [
    () => world.state.applyDeployment(pick(world, ['m', 'n']), someSpec(world)),
    () => pick(world, world.fleet.nodes).crash(),
    () => {
      for (const node of world.fleet.nodes) if (!node.isUp) node.boot();
    },
    () => {
      const node = pick(world, world.fleet.nodes);
      const rank = [...node.ranks.keys()][0];
      if (rank !== undefined) node.kill(rank);
    },
    () => {
      const unschedulable = world.random() < 0.4;
      const taints = [{ key: 'maintenance', effect: 'NoExecute' as const }];
      const change = world.random() < 0.3 ? { unschedulable, taints } : { unschedulable };
      world.state.applyNode(pick(world, nodeNames), nodeSpec(change));
    },
    () => world.state.delete({ kind: 'ModelDeployment', namespace: 'default', name: 'm' }),
    () => world.startControlPlane(),
  ];
  await world.startControlPlane();
  world.state.applyDeployment('m', someSpec(world));
  for (let step = 0; step < stepsPerSeed; step += 1) {
    if (world.random() < 0.15) await pick(world, disturbances)();
    await world.run(world.random() < 0.1 ? 15 : 1);
    objects.push(...world.state.deployments(), ...world.state.nodes());
    for (const revision of world.state.revisions()) {
      revisions.set(revision.metadata.name, revision);
    }
  }
  return objects;
};
