import { revisionHash, revisionName } from '../../src/resources/revision.ts';
import type { ModelDeployment, ModelDeploymentSpec } from '../../src/resources/types.ts';
import { spec } from '../planner/builders.ts';
import { specOf } from './describe.ts';
import type { World } from './world.ts';

type Strategy = ModelDeploymentSpec['strategy'];

export const deploymentNames = ['m', 'n', 'o'];

/** Ranks of a revision with this context length fail, always. */
export const poisonedContextLength = 8192;

export const isPoisoned = ({ spec: { runtime } }: Pick<ModelDeployment, 'spec'>): boolean =>
  runtime.contextLength === poisonedContextLength;

export const pick = <T>({ random }: Pick<World, 'random'>, list: readonly T[]): T =>
  list[Math.floor(random() * list.length)] as T;

/** What a user writes with kubectl apply. */
export const ask = (world: World, name: string, next: ModelDeploymentSpec): void => {
  if (isPoisoned({ spec: next })) {
    const revision = revisionName(name, revisionHash(next));
    world.fleet.poison.set(revision, { code: 'RankExited', message: 'poisoned', terminal: false });
  }
  world.trace.note(`a user applies ${name}: ${specOf(next)}`);
  world.apply('ModelDeployment', name, next);
  const { metadata } = world.deployment(name)!;
  world.intents.asked(name, next, metadata, world.clock.monotonicMs());
};

export const remove = (world: World, name: string): void => {
  if (!world.deployment(name)) return;
  world.trace.note(`a user deletes ${name}`);
  world.intents.deleted(name);
  world.delete(name);
};

/** Git revert: back to the spec before. */
export const revert = (world: World, name: string): void => {
  const before = world.intents.before(name);
  if (before && world.intents.wanted(name)) ask(world, name, before);
};

/** Changes some fields of what is asked for. */
export const edit = (world: World, name: string, fields: Partial<ModelDeploymentSpec>): void => {
  const wanted = world.intents.wanted(name);
  if (wanted) ask(world, name, { ...wanted, ...fields });
};

export const randomSpec = (world: World): ModelDeploymentSpec =>
  spec({
    ...randomTemplate(world),
    ...randomRank(world),
    replicas: pick(world, [0, 1, 1, 2, 2]),
    paused: world.random() < 0.1,
    minReadySeconds: pick(world, [0, 5]),
    restartPolicy: { maxGroupRestarts: pick(world, [1, 50, 50]), backoffSeconds: 1 },
    strategy: randomStrategy(world),
    ...(world.random() < 0.2 ? { restartTime: nowText(world) } : {}),
  });

export const nowText = ({ clock }: World): string => `${clock.now().toISOString().slice(0, 19)}Z`;

/** What makes a revision. */
export const randomTemplate = (
  world: World,
): Pick<ModelDeploymentSpec, 'parallelism' | 'runtime'> => ({
  parallelism: pick<ModelDeploymentSpec['parallelism']>(world, [
    { strategy: 'Tensor', tensorSize: 2 },
    { strategy: 'Pipeline', pipelineSize: 2 },
    { strategy: 'Single' },
  ]),
  runtime: contextOf(pick(world, [1024, 1024, 2048, 2048, poisonedContextLength])),
});

/** Who comes first, and may stop others. Few priorities, so that many are equal. */
export const randomRank = (
  world: World,
): Pick<ModelDeploymentSpec, 'priority' | 'preemptionPolicy'> => ({
  priority: pick(world, [-5, 0, 0, 5]),
  preemptionPolicy: pick(world, ['Never', 'PreemptLowerPriority', 'PreemptLowerPriority']),
});

export const contextOf = (contextLength: number): ModelDeploymentSpec['runtime'] => ({
  ...spec().runtime,
  contextLength,
});

const randomStrategy = (world: World): Strategy =>
  world.random() < 0.3
    ? { ...spec().strategy, onFailure: randomEnd(world) }
    : rollingStrategy(world, pick(world, [0, 0, 1]));

export const rollingStrategy = (world: World, partition: number): Strategy => ({
  type: 'RollingUpdate',
  rollingUpdate: {
    ...pick(world, [
      { maxUnavailable: 0, maxSurge: 1 },
      { maxUnavailable: 1, maxSurge: 0 },
      { maxUnavailable: 1, maxSurge: 1 },
    ]),
    partition,
  },
  onFailure: randomEnd(world),
});

const randomEnd = (world: World): Strategy['onFailure'] => pick(world, ['Hold', 'Rollback']);
