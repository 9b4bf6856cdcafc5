import { revisionHash, revisionName } from '../../src/resources/revision.ts';
import type { ModelDeployment, ModelDeploymentSpec } from '../../src/resources/types.ts';
import { spec } from '../planner/builders.ts';
import type { World } from './world.ts';

type Strategy = ModelDeploymentSpec['strategy'];

export const deploymentNames = ['m', 'n'];

/** Ranks of a revision with this context length fail, always. */
export const poisonedContextLength = 8192;

export const isPoisoned = ({ spec: { runtime } }: Pick<ModelDeployment, 'spec'>): boolean =>
  runtime.contextLength === poisonedContextLength;

export const pick = <T>({ random }: Pick<World, 'random'>, list: readonly T[]): T =>
  list[Math.floor(random() * list.length)] as T;

interface Asked {
  spec: ModelDeploymentSpec;
  atMs: number;
}

/** Of each deployment, what was asked for, oldest first. */
const histories = new WeakMap<World, Map<string, Asked[]>>();

const historyOf = (world: World, name: string): Asked[] => {
  const known = histories.get(world) ?? new Map<string, Asked[]>();
  histories.set(world, known);
  const history = known.get(name) ?? [];
  known.set(name, history);
  return history;
};

/** What was asked for at any moment since then. */
export const askedSince = (world: World, name: string, sinceMs: number): ModelDeploymentSpec[] => {
  const history = historyOf(world, name);
  return history
    .filter((_, index) => (history[index + 1]?.atMs ?? Infinity) >= sinceMs)
    .map(({ spec: asked }) => asked);
};

/** What a user writes with kubectl apply. */
export const ask = (world: World, name: string, next: ModelDeploymentSpec): void => {
  historyOf(world, name).push({ spec: next, atMs: world.clock.monotonicMs() });
  if (isPoisoned({ spec: next })) {
    const revision = revisionName(name, revisionHash(next));
    world.fleet.poison.set(revision, { code: 'RankExited', message: 'poisoned', terminal: false });
  }
  world.apply('ModelDeployment', name, next);
};

/** Git revert: back to the spec before. */
export const revert = (world: World, name: string): void => {
  const before = historyOf(world, name).at(-2);
  if (before && world.deployment(name)) ask(world, name, before.spec);
};

/** Changes some fields of what is asked for. */
export const edit = (world: World, name: string, fields: Partial<ModelDeploymentSpec>): void => {
  const deployment = world.deployment(name);
  if (!deployment || deployment.metadata.deletionTimestamp) return;
  ask(world, name, { ...deployment.spec, ...fields });
};

export const randomSpec = (world: World): ModelDeploymentSpec =>
  spec({
    ...randomTemplate(world),
    replicas: pick(world, [0, 1, 1, 1, 1, 2]),
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
