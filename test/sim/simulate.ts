import assert from 'node:assert/strict';
import { delay } from '../../src/base/clock.ts';
import type { ModelDeployment } from '../../src/resources/types.ts';
import { nodeSpec } from '../controller/harness.ts';
import { check } from './promises.ts';
import { rollInPeace } from './roll-in-peace.ts';
import {
  ask,
  deploymentNames,
  edit,
  isPoisoned,
  nowText,
  pick,
  poisonedContextLength,
  randomSpec,
  randomTemplate,
  revert,
} from './user.ts';
import { World } from './world.ts';

const nodeNames = ['a', 'b', 'c'];
const maxSteps = 200;

/**
 * One seed: up to 200 steps in which users, nodes, replicas of the operator and the API server do what they do at
 * their worst, then peace. Throws when a group runs twice, a status is dishonest, intent is lost, a rank is
 * orphaned, or anything hangs.
 */
export const simulate = async (seed: number): Promise<void> => {
  const world = new World(nodeNames, seed);
  const lostOnce = new Set<string>();
  repairEverything(world);
  const steps = 50 + Math.floor(world.random() * (maxSteps - 50));
  for (let step = 0; step < steps; step += 1) {
    if (world.random() < 0.15) await disturb(world);
    world.fleet.step();
    await world.clock.advance(world.random() < 0.1 ? 5000 : 500);
    check(world, lostOnce);
  }
  await converge(world, lostOnce);
};

const disturb = async (world: World): Promise<void> => {
  const name = pick(world, deploymentNames);
  const node = pick(world, world.fleet.nodes);
  const replica = pick(world, [...world.replicas]);
  const change = () => ask(world, name, randomSpec(world));
  const disturbances: (() => void | Promise<void>)[] = [
    () => killSomeRank(world),
    () => killSomeRank(world),
    () => repairEverything(world),
    () => repairEverything(world),
    () => node.crash(),
    () => {
      node.isCutOff = true;
    },
    change,
    change,
    () => revert(world, name),
    () => revert(world, name),
    () => edit(world, name, randomTemplate(world)),
    () => edit(world, name, { replicas: pick(world, [1, 2, 3]) }),
    () => edit(world, name, { paused: !world.deployment(name)?.spec.paused }),
    () => edit(world, name, { restartTime: nowText(world) }),
    () => race(world, name, () => edit(world, name, randomTemplate(world))),
    () => world.delete(name),
    () => world.apply('ClusterNode', node.name, randomNodeSpec(world)),
    () => replica && world.kill(replica),
    // Not awaited: it takes simulated time.
    () => void (replica && world.stop(replica)),
    () => {
      if (replica) replica.network.isDown = true;
      world.disturb();
    },
    () => disturbServer(world),
    () => disturbServer(world),
    () => void loseHistory(world),
  ];
  await pick(world, disturbances)();
};

const disturbServer = (world: World): void => {
  const rate = pick(world, [0.1, 0.3, 0.6]);
  for (const { network } of world.replicas) network.rate = rate;
  world.disturb();
};

/** Next time that the operator writes the status, the user is faster by a moment. */
const race = (world: World, name: string, change: () => void): void => {
  let isArmed = true;
  world.onWrite = ({ path }) => {
    if (!isArmed || !path.includes(`/modeldeployments/${name}/status`)) return;
    isArmed = false;
    change();
  };
};

/** Nobody hears for a while what happens, and by then the server has forgotten it. */
const loseHistory = async (world: World): Promise<void> => {
  const networks = [...world.replicas].map(({ network }) => network);
  world.disturb();
  for (const network of networks) {
    network.hasNoWatches = true;
    network.cutWatches();
  }
  const revision = pick(world, world.server.objects('espalier.dev/modeldeploymentrevisions'));
  if (revision && world.random() < 0.3) world.deleteRevision(revision.metadata.name);
  await delay(world.clock, 1000 + world.random() * 10_000);
  world.server.compact();
  world.disturb();
  for (const network of networks) network.hasNoWatches = false;
};

const randomNodeSpec = (world: World) =>
  nodeSpec({
    unschedulable: world.random() < 0.3,
    taints: world.random() < 0.3 ? [{ key: 'maintenance', effect: 'NoExecute' }] : [],
  });

const killSomeRank = (world: World): void => {
  const busy = world.fleet.nodes.filter(({ ranks }) => ranks.size > 0);
  if (busy.length === 0) return;
  const node = pick(world, busy);
  node.kill(pick(world, [...node.ranks.keys()]));
};

const repairEverything = (world: World): void => {
  for (const { network } of world.replicas) {
    network.rate = 0;
    network.isDown = false;
    network.hasNoWatches = false;
  }
  for (const node of world.fleet.nodes) {
    if (!node.isUp) node.boot();
    node.isCutOff = false;
    world.apply('ClusterNode', node.name, nodeSpec());
  }
  for (const name of deploymentNames) {
    if (!world.deployment(name)) ask(world, name, randomSpec(world));
  }
};

/** All faults end; the last words of the user hold, and then there is silence. */
const converge = async (world: World, lostOnce: Set<string>): Promise<void> => {
  world.onWrite = () => undefined;
  repairEverything(world);
  // Replicas that are under way to their end may not come back with their faults.
  await world.run(20);
  repairEverything(world);
  for (const name of deploymentNames) edit(world, name, lastWords(world, name));
  await world.run(10);
  await settle(world, lostOnce);
  await rollInPeace(world, () => check(world, lostOnce));
  await settle(world, lostOnce);
  await assertIdle(world);
};

/** Nothing is left to do by hand: a failure from faults is tried again, one of a poisoned revision is not. */
const lastWords = (world: World, name: string) => {
  const { runtime, strategy } = world.deployment(name)?.spec ?? randomSpec(world);
  const isBad = runtime.contextLength === poisonedContextLength;
  const maxGroupRestarts = isBad ? 1 : 50;
  return {
    paused: false,
    // A partition may hold a group at a revision that fails.
    strategy: { ...strategy, rollingUpdate: { ...strategy.rollingUpdate, partition: 0 } },
    restartPolicy: { maxGroupRestarts, backoffSeconds: 1 },
    ...(isBad ? {} : { restartTime: nowText(world) }),
  };
};

const settle = async (world: World, lostOnce: Set<string>): Promise<void> => {
  await world.runUntil('everything is as the YAML says', () => isConverged(world), 900);
  check(world, lostOnce);
};

const assertIdle = async (world: World): Promise<void> => {
  await world.run(30);
  const before = sum(world.server.writes);
  const idleBefore = sum(world.server.idleWrites);
  await world.run(120);
  const idle = sum(world.server.writes) - before;
  assert.ok(idle <= 2, `${idle} writes in two idle minutes`);
  assert.equal(sum(world.server.idleWrites), idleBefore, 'a write changed nothing');
};

/** Leases aside: they are the heartbeat. */
const sum = (writes: ReadonlyMap<string, number>): number =>
  [...writes]
    .filter(([collection]) => !collection.endsWith('/leases'))
    .reduce((total, [, count]) => total + count, 0);

const isConverged = (world: World): boolean =>
  world
    .deployments()
    .every(
      (deployment) =>
        !deployment.metadata.deletionTimestamp &&
        deployment.status.observedGeneration === deployment.metadata.generation &&
        (isTrue(deployment, 'Ready') || hasGivenUp(world, deployment)) &&
        !isTrue(deployment, 'Degraded'),
    ) && hasNoOrphans(world);

/** A poisoned revision does not come up: it is held, or the one before is back, if nobody deleted that. */
const hasGivenUp = (world: World, deployment: ModelDeployment): boolean => {
  const { spec, status } = deployment;
  if (!isPoisoned(deployment) || !isTrue(deployment, 'Stalled')) return false;
  const { currentRevision, updateRevision, groups } = status;
  const mayGoBack =
    currentRevision !== undefined &&
    currentRevision !== updateRevision &&
    world.hasRevision(currentRevision);
  if (spec.strategy.onFailure === 'Hold' || !mayGoBack) return true;
  return (
    isTrue(deployment, 'RolledBack') &&
    groups.length === spec.replicas &&
    groups.every(({ state }) => state === 'Ready')
  );
};

const isTrue = ({ status }: ModelDeployment, type: string): boolean =>
  status.conditions.some((condition) => condition.type === type && condition.status === 'True');

const hasNoOrphans = (world: World): boolean => {
  const listed = new Set(world.fleet.documents().flatMap(({ ranks }) => ranks.map(({ id }) => id)));
  return world.fleet.nodes.every((node) => [...node.ranks.keys()].every((id) => listed.has(id)));
};
