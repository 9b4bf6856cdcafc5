import type { ModelDeploymentSpec } from '../../src/resources/types.ts';
import { nodeSpec } from '../controller/harness.ts';
import { GiB, spec } from '../planner/builders.ts';
import { ask, contextOf, edit, nowText, poisonedContextLength, revert } from '../sim/user.ts';
import type { World } from '../sim/world.ts';
import { newWorld, standStill } from './stand-still.ts';

const limitSeconds = 600;

/** Brings a world to the state that its name says. */
type Scene = (world: World) => Promise<void>;

const single = { parallelism: { strategy: 'Single' as const } };
const tensor2 = { parallelism: { strategy: 'Tensor' as const, tensorSize: 2 } };
const tensor4 = { parallelism: { strategy: 'Tensor' as const, tensorSize: 4 } };
const pipeline2 = { parallelism: { strategy: 'Pipeline' as const, pipelineSize: 2 } };
const patient = { maxGroupRestarts: 1, backoffSeconds: 1 };

const nowhere = {
  nodeSelector: { matchLabels: { room: 'none' } },
  tolerations: [],
  memoryHeadroom: '0',
};

const rolling = (
  fields: Partial<ModelDeploymentSpec['strategy']['rollingUpdate']> = {},
  onFailure: 'Hold' | 'Rollback' = 'Hold',
): ModelDeploymentSpec['strategy'] => ({
  type: 'RollingUpdate',
  rollingUpdate: { maxUnavailable: 1, maxSurge: 0, partition: 0, ...fields },
  onFailure,
});

const conditionOf = (world: World, name: string, type: string) =>
  world.deployment(name)?.status.conditions.find((condition) => condition.type === type);

const isCurrent = (world: World, name: string): boolean => {
  const { metadata, status } = world.deployment(name) ?? {};
  return metadata !== undefined && metadata.generation === status?.observedGeneration;
};

const ready = async (world: World, ...names: string[]): Promise<void> => {
  for (const name of names) {
    const isReady = () =>
      isCurrent(world, name) && conditionOf(world, name, 'Ready')?.status === 'True';
    await world.runUntil(`${name} is Ready`, isReady, limitSeconds);
  }
};

const stalled = async (world: World, name: string): Promise<void> => {
  const isStalled = () =>
    isCurrent(world, name) && conditionOf(world, name, 'Stalled') !== undefined;
  await world.runUntil(`${name} is Stalled`, isStalled, limitSeconds);
};

const servingUpdated = (world: World, name: string): number =>
  world.deployment(name)?.status.updatedReplicas ?? 0;

/** Until some groups, and not all, run the newest revision. */
const halfWay = async (world: World, name: string): Promise<void> => {
  await world.runUntil(
    `${name} is half way`,
    () => isCurrent(world, name) && servingUpdated(world, name) === 1,
    limitSeconds,
  );
};

const three = (fields: Partial<ModelDeploymentSpec> = {}): ModelDeploymentSpec =>
  spec({ ...single, replicas: 3, runtime: contextOf(1024), strategy: rolling(), ...fields });

export const scenes: Record<string, Scene> = {
  'serving, with a revision taken up again': async (world) => {
    ask(world, 'single', spec(single));
    ask(world, 'tensor', spec(tensor2));
    ask(world, 'pipeline', spec(pipeline2));
    await ready(world, 'single', 'tensor', 'pipeline');
    edit(world, 'single', { runtime: contextOf(2048) });
    await ready(world, 'single');
    revert(world, 'single');
    await ready(world, 'single');
  },
  'scaled to zero, and restarted once': async (world) => {
    ask(world, 'none', spec({ ...single, replicas: 0 }));
    ask(world, 'again', three());
    await ready(world, 'none', 'again');
    edit(world, 'again', { restartTime: nowText(world) });
    await world.run(2);
    await ready(world, 'again');
  },
  'ranks on their way': async (world) => {
    ask(world, 'tensor', spec(tensor2));
    ask(world, 'pipeline', spec(pipeline2));
    await world.run(4);
  },
  'half way through an update': async (world) => {
    ask(world, 'm', three());
    await ready(world, 'm');
    edit(world, 'm', { runtime: contextOf(2048) });
    await halfWay(world, 'm');
  },
  'half way through a surge': async (world) => {
    ask(world, 'm', three({ strategy: rolling({ maxUnavailable: 0, maxSurge: 1 }) }));
    await ready(world, 'm');
    edit(world, 'm', { runtime: contextOf(2048) });
    await halfWay(world, 'm');
  },
  'half way back': async (world) => {
    ask(world, 'm', three());
    await ready(world, 'm');
    edit(world, 'm', { runtime: contextOf(2048) });
    await halfWay(world, 'm');
    revert(world, 'm');
    await world.run(2);
  },
  'paused half way': async (world) => {
    ask(world, 'm', three());
    await ready(world, 'm');
    edit(world, 'm', { runtime: contextOf(2048) });
    await halfWay(world, 'm');
    edit(world, 'm', { paused: true });
    await world.run(20);
  },
  'serving, and paused': async (world) => {
    ask(world, 'm', spec(single));
    await ready(world, 'm');
    edit(world, 'm', { paused: true });
    await ready(world, 'm');
  },
  'held by a partition': async (world) => {
    ask(world, 'm', three({ strategy: rolling({ partition: 2 }) }));
    await ready(world, 'm');
    edit(world, 'm', { runtime: contextOf(2048) });
    await ready(world, 'm');
  },
  'a revision that fails, held': async (world) => {
    ask(world, 'm', three({ restartPolicy: patient }));
    await ready(world, 'm');
    edit(world, 'm', { runtime: contextOf(poisonedContextLength) });
    await stalled(world, 'm');
    await world.run(10);
  },
  'a revision that failed, rolled back': async (world) => {
    ask(world, 'm', three({ restartPolicy: patient, strategy: rolling({}, 'Rollback') }));
    await ready(world, 'm');
    edit(world, 'm', { runtime: contextOf(poisonedContextLength) });
    await stalled(world, 'm');
    await world.run(60);
  },
  'a first revision that fails, in backoff': async (world) => {
    ask(
      world,
      'm',
      spec({
        ...single,
        runtime: contextOf(poisonedContextLength),
        restartPolicy: { maxGroupRestarts: 50, backoffSeconds: 120 },
      }),
    );
    await world.runUntil(
      'the group failed',
      () => (world.deployment('m')?.status.groups[0]?.restarts ?? 0) > 0,
      limitSeconds,
    );
    await world.run(5);
  },
  'past its progress deadline': async (world) => {
    world.fleet.node('a').crash();
    ask(
      world,
      'm',
      spec({
        ...tensor4,
        progressDeadlineSeconds: 60,
        degradation: { allow: [], minTokensPerSecond: 0 },
      }),
    );
    await stalled(world, 'm');
    await world.run(60);
  },
  'with less than it asked for': async (world) => {
    world.fleet.node('a').crash();
    ask(world, 'm', spec(tensor4));
    await world.run(60);
    await ready(world, 'm');
  },
  'without room, without nodes, without a plan': async (world) => {
    ask(world, 'many', three({ replicas: 8 }));
    ask(world, 'wide', spec({ parallelism: { strategy: 'Pipeline', pipelineSize: 16 } }));
    ask(world, 'refused', spec({ parallelism: { strategy: 'Single', expertSize: 2 } }));
    ask(world, 'elsewhere', spec({ ...single, placement: nowhere }));
    await stalled(world, 'refused');
    await world.run(90);
  },
  'nodes lost, cordoned and refused': async (world) => {
    ask(world, 'm', three());
    await ready(world, 'm');
    world.apply('ClusterNode', 'b', nodeSpec({ unschedulable: true }));
    world.apply(
      'ClusterNode',
      'd',
      nodeSpec({ taints: [{ key: 'maintenance', effect: 'NoExecute' }] }),
    );
    world.fleet.node('c').crash();
    await world.run(120);
  },
  'a node that was never heard of': async (world) => {
    world.apply('ClusterNode', 'e', nodeSpec());
    world.fleet.node('d').memoryBytes = 16 * GiB;
    ask(world, 'm', spec(single));
    ask(world, 'n', spec({ parallelism: { strategy: 'Tensor', tensorSize: 8 } }));
    await ready(world, 'm');
    await world.run(60);
  },
  'an update that has no place': async (world) => {
    ask(world, 'm', spec(single));
    await ready(world, 'm');
    edit(world, 'm', { placement: nowhere });
    await world.run(30);
  },
  'a surge that has no room': async (world) => {
    for (const node of world.fleet.nodes) node.memoryBytes = 24 * GiB;
    await world.run(5);
    ask(world, 'm', three({ replicas: 4, strategy: rolling({ maxUnavailable: 0, maxSurge: 1 }) }));
    await ready(world, 'm');
    edit(world, 'm', { runtime: contextOf(2048) });
    await world.run(30);
  },
  'answering, and not yet for long enough': async (world) => {
    for (const node of world.fleet.nodes) node.decodeTokensPerSecond = 20;
    ask(world, 'm', three({ minReadySeconds: 300, replicas: 1 }));
    await world.runUntil(
      'the group answers',
      () => world.deployment('m')?.status.readyReplicas === 1,
      limitSeconds,
    );
  },
  'a node on its way out': async (world) => {
    ask(world, 'm', three());
    await ready(world, 'm');
    const home = world.deployment('m')!.status.groups[0]!.members[0]!.nodeName;
    world.fleet.node(home).isCutOff = true;
    world.deleteNode(home);
    await world.run(5);
  },
  'going, held up by a node that is cut off': async (world) => {
    ask(world, 'm', three());
    ask(world, 'n', spec(single));
    await ready(world, 'm', 'n');
    for (const node of world.fleet.nodes) node.isCutOff = node.ranks.size > 0;
    world.delete('m');
    await world.run(5);
  },
};

const nodeNames = ['a', 'b', 'c', 'd'];
/** What was under way settles, and events are written. */
const settleSeconds = 6;

/** The world of that scene, with nothing on its way. */
export const play = async (scene: string): Promise<World> => {
  const index = Object.keys(scenes).indexOf(scene);
  const world = newWorld(nodeNames, 100 + index);
  for (const name of nodeNames) world.apply('ClusterNode', name, nodeSpec());
  await world.run(5);
  await scenes[scene]!(world);
  await standStill(world, settleSeconds);
  return world;
};
