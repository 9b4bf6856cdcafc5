import assert from 'node:assert/strict';
import { holds } from './broken-promise.ts';
import type { ModelDeployment } from '../../src/resources/types.ts';
import {
  ask,
  contextOf,
  deploymentNames,
  edit,
  nowText,
  pick,
  poisonedContextLength,
  randomSpec,
  randomTemplate,
  revert,
  rollingStrategy,
} from './user.ts';
import type { World } from './world.ts';

const edits = 4;
const rolloutSeconds = 900;

/**
 * Rolling updates that begin fully available, without a fault but with a user who changes their mind: a revision that
 * fails, reverts, restarts, scaling and a pause at any step. Throws when fewer groups serve than were promised.
 */
export const rollInPeace = async (world: World, check: () => void): Promise<void> => {
  // One may have been on its way out until now.
  for (const each of deploymentNames) {
    if (!world.intents.wanted(each)) ask(world, each, randomSpec(world));
  }
  const name = pick(world, deploymentNames);
  // Room for every surge group, so that no rollout waits for a place.
  for (const other of deploymentNames) if (other !== name) edit(world, other, { replicas: 0 });
  edit(world, name, {
    replicas: pick(world, [1, 2, 3]),
    strategy: rollingStrategy(world, 0),
    parallelism: { strategy: 'Single' },
    runtime: contextOf(1024),
    restartPolicy: { maxGroupRestarts: 1, backoffSeconds: 1 },
    paused: false,
    restartTime: nowText(world),
  });
  await world.run(5);
  await world.runUntil('a start for rolling updates', () => isWhole(world, name), rolloutSeconds);
  const floors = new Map([[name, promisedBy(world.deployment(name)!)]]);
  for (let count = 0; count < edits; count += 1) {
    changeMind(world, name);
    for (let step = pick(world, [1, 5, 20, 60, 300]); step > 0; step -= 1) {
      await world.run(0.5);
      check();
      assertFloor(world, floors, name);
    }
  }
  edit(world, name, { paused: false, restartPolicy: { maxGroupRestarts: 1, backoffSeconds: 1 } });
  editAtTheLastMoment(world, name);
  await world.run(2);
};

/** The user is faster than the write that says Ready, and nothing else happens after it that would show the edit. */
const editAtTheLastMoment = (world: World, name: string): void => {
  world.onWrite = ({ path, body }) => {
    if (!path.includes(`/modeldeployments/${name}/status`)) return;
    const { conditions } = (body as Pick<ModelDeployment, 'status'>).status;
    if (!conditions.some(({ type, status }) => type === 'Ready' && status === 'True')) return;
    world.onWrite = () => undefined;
    edit(world, name, { minReadySeconds: 1 });
  };
};

const changeMind = (world: World, name: string): void => {
  const changes: (() => void)[] = [
    () => edit(world, name, { ...randomTemplate(world), paused: false }),
    () => edit(world, name, { runtime: contextOf(2048), paused: false }),
    () => edit(world, name, { runtime: contextOf(poisonedContextLength), paused: false }),
    () => revert(world, name),
    () => edit(world, name, { restartTime: nowText(world) }),
    () => edit(world, name, { replicas: pick(world, [1, 2, 3]) }),
    () => edit(world, name, { paused: true }),
  ];
  pick(world, changes)();
};

const serving = ({ status }: ModelDeployment): number =>
  status.groups.filter(({ state }) => state === 'Ready').length;

const promisedBy = ({ spec: { strategy, replicas } }: ModelDeployment): number =>
  strategy.type === 'Recreate' ? 0 : replicas - strategy.rollingUpdate.maxUnavailable;

const isWhole = (world: World, name: string): boolean => {
  const { metadata, status } = world.deployment(name)!;
  const ready = status.conditions.find(({ type }) => type === 'Ready');
  return ready?.status === 'True' && status.observedGeneration === metadata.generation;
};

/** The least that was promised by any spec since all that was asked for served. */
const assertFloor = (world: World, floors: Map<string, number>, name: string): void => {
  const deployment = world.deployment(name)!;
  const promised = promisedBy(deployment);
  const before = isWhole(world, name) ? promised : floors.get(name);
  const floor = Math.min(before ?? 0, promised);
  floors.set(name, floor);
  const now = serving(deployment);
  holds('no fewer groups than promised', () => {
    assert.ok(now >= floor, `${name}: ${now} groups serve, ${floor} were promised`);
  });
};
