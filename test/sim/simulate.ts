import assert from 'node:assert/strict';
import { GiB, profile } from '../planner/builders.ts';
import { BrokenPromise, holds } from './broken-promise.ts';
import { contend } from './contend.ts';
import { removeOne, settle } from './converge.ts';
import { disturb, repairEverything } from './disturb.ts';
import { Promises } from './promises.ts';
import { rollInPeace } from './roll-in-peace.ts';
import { deploymentNames, edit, nowText, pick, poisonedContextLength, randomSpec } from './user.ts';
import { World } from './world.ts';

const nodeNames = ['a', 'b', 'c'];
const model = profile(16);
/** Room for four groups of one rank, so that plans that forget each other do not fit. */
const tightBytes = [48 * GiB, 32 * GiB, 32 * GiB];
/** Room for all that users may ask for. */
const ampleBytes = 128 * GiB;
const minSteps = 50;
const maxSteps = 200;
/** Of the trace of a failure. */
const shownLines = 60;

export interface Run {
  /** Of everything that happened: equal for equal seeds. */
  digest: string;
  steps: number;
  /** Of simulated time. */
  seconds: number;
  failure?: Failure;
}

export interface Failure {
  /** One line: which promise, and how it was broken. */
  message: string;
  error: unknown;
  /** What happened last, oldest first. */
  trace: string[];
}

/**
 * One seed: up to 200 steps in which users, nodes, replicas of the operator and the API server do what they do at
 * their worst, then peace. What is promised is checked at every step and at every write.
 */
export const simulate = async (seed: number): Promise<Run> => {
  const world = new World(nodeNames, seed, model);
  const ending = () => ({
    digest: world.trace.digest(),
    steps: world.trace.step,
    seconds: Number(world.trace.seconds),
  });
  try {
    await run(world);
    return ending();
  } catch (error) {
    const isPromise = error instanceof BrokenPromise;
    const message = isPromise ? error.message : `the simulation itself: ${String(error)}`;
    return { ...ending(), failure: { message, error, trace: world.trace.last(shownLines) } };
  }
};

const run = async (world: World): Promise<void> => {
  const promises = new Promises(world);
  const check = () => promises.check();
  for (const [index, node] of world.fleet.nodes.entries()) node.memoryBytes = tightBytes[index]!;
  repairEverything(world);
  const steps = minSteps + Math.floor(world.random() * (maxSteps - minSteps));
  for (let step = 0; step < steps; step += 1) {
    if (world.random() < 0.15) disturb(world);
    await world.advance(world.random() < 0.1 ? 5000 : 500);
    check();
  }
  await makePeace(world);
  await contend(world, check, promises.evictions);
  for (const node of world.fleet.nodes) node.memoryBytes = ampleBytes;
  await world.run(10);
  await settle(world, check);
  await rollInPeace(world, check);
  await settle(world, check);
  world.onWrite = () => undefined;
  await assertIdle(world);
  await removeOne(world, pick(world, deploymentNames), check);
};

/** All faults end; the last words of the users hold. */
const makePeace = async (world: World): Promise<void> => {
  world.onWrite = () => undefined;
  world.onArrival = () => true;
  world.onActed = () => undefined;
  repairEverything(world);
  // Replicas that are under way to their end may not come back with their faults.
  await world.run(20);
  repairEverything(world);
  for (const name of deploymentNames) edit(world, name, lastWords(world, name));
  await world.run(10);
};

/** Nothing is left to do by hand: a failure from faults is tried again, one of a poisoned revision is not. */
const lastWords = (world: World, name: string) => {
  const { runtime, strategy } = world.intents.wanted(name) ?? randomSpec(world);
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

const assertIdle = async (world: World): Promise<void> => {
  await world.run(30);
  const before = sum(world.server.writes);
  const idleBefore = sum(world.server.idleWrites);
  await world.run(120);
  const idle = sum(world.server.writes) - before;
  holds('no idle write', () => {
    assert.ok(idle <= 2, `${idle} writes in two idle minutes`);
    assert.equal(sum(world.server.idleWrites), idleBefore, 'a write changed nothing');
  });
};

/** Leases aside: they are the heartbeat. */
const sum = (writes: ReadonlyMap<string, number>): number =>
  [...writes]
    .filter(([collection]) => !collection.endsWith('/leases'))
    .reduce((total, [, count]) => total + count, 0);
