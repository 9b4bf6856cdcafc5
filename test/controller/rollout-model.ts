import assert from 'node:assert/strict';
import { seededRandom } from '../../src/base/random.ts';
import { routesFrom } from '../../src/controller/routes.ts';
import { revisionHash, revisionName } from '../../src/resources/revision.ts';
import type { GroupStatus, ModelDeploymentSpec } from '../../src/resources/types.ts';
import { spec } from '../planner/builders.ts';
import { harness } from './harness.ts';
import type { Harness } from './harness.ts';
import { assertHonestConditions } from './honest-conditions.ts';
import { crashNodeOf, groups, killGroup, serving } from './rolling.ts';

/** What a user or fate does, as plain data: a failing run prints it. */
export type Command =
  | { do: 'edit'; contextLength: number }
  | { do: 'break' }
  | { do: 'revert' | 'pause' | 'resume' | 'restart' | 'controlPlane' | 'return' }
  | { do: 'scale'; replicas: number }
  | { do: 'strategy'; strategy: ModelDeploymentSpec['strategy'] }
  | { do: 'kill' | 'lose' | 'cutOff'; group: number };

/** A command and for how many half seconds the world goes on after it. */
export interface Move {
  command: Command;
  steps: number;
}

export interface Setup {
  seed: number;
  spec: ModelDeploymentSpec;
  isBusy: boolean;
}

const nodeNames = ['a', 'b', 'c', 'd', 'e'];
/** More than one of them down leaves too little room for every surge. */
const mostDown = 2;
const brokenContextLength = 8192;
const limitSeconds = 1500;
/** Whatever fate took is back by then: a node is given up after 40 s, and starts take some 20. */
const healedMs = 100_000;

/** What was promised, and what was seen. Throws when the two differ. */
class Model {
  readonly #world: Harness;
  readonly #asked: ModelDeploymentSpec[];
  /** Groups that must serve, but for those that fate took. */
  #floor = 0;
  #excused = 0;
  #lastStrikeMs = 0;
  /** Groups that fate took come back; not those that were restarted too often, or as a broken revision. */
  #comesBack: boolean;
  /** Groups that held a place at the last look. */
  #held = 0;
  #generation = -1;
  #lastPaused = new Map<number, string>();

  constructor(world: Harness, first: ModelDeploymentSpec) {
    this.#world = world;
    this.#asked = [first];
    this.#comesBack = first.restartPolicy.maxGroupRestarts > 10;
  }

  get spec(): ModelDeploymentSpec {
    return this.#asked.at(-1)!;
  }

  ask(changes: Partial<ModelDeploymentSpec>): void {
    const next = { ...this.spec, ...changes };
    const isMoved =
      next.runtime !== this.spec.runtime || next.restartTime !== this.spec.restartTime;
    if (isMoved && next.strategy.type === 'Recreate') this.#floor = 0;
    this.#asked.push(next);
    if (next.runtime.contextLength === brokenContextLength) {
      this.#comesBack = false;
      const revision = revisionName('m', revisionHash(next));
      const error = { code: 'RankExited', message: 'broken', terminal: false } as const;
      this.#world.fleet.poison.set(revision, error);
    }
    this.#world.state.applyDeployment('m', next);
    this.#floor = Math.min(this.#floor, this.#promised());
  }

  revert(): void {
    const before = this.#asked.at(-2);
    if (before) this.ask({ ...before, paused: this.spec.paused, strategy: this.spec.strategy });
  }

  /** Fate took groups; of those nobody promised more than that they come back. */
  excuse(count: number): void {
    this.#excused += count;
    this.#lastStrikeMs = this.#world.clock.monotonicMs();
  }

  check(): void {
    const { status, metadata } = this.#world.deployment('m');
    assertHonestConditions(this.#world.deployment('m'));
    assert.ok(status.observedGeneration >= this.#generation, 'observedGeneration went back');
    this.#generation = status.observedGeneration;
    this.#checkPause(status.observedGeneration === metadata.generation);
    this.#checkServing();
    const { replicas, strategy } = this.spec;
    const surge = strategy.type === 'RollingUpdate' ? strategy.rollingUpdate.maxSurge : 0;
    const held = groups(this.#world).filter(({ members }) => members.length > 0).length;
    const allowed = Math.max(replicas + surge, this.#held);
    assert.ok(held <= allowed, `${held} groups hold a place, ${allowed} are allowed`);
    this.#held = held;
    this.#checkRoutes();
  }

  #checkServing(): void {
    const isWhole = this.#isWhole();
    if (isWhole) this.#floor = this.#promised();
    const quietMs = this.#world.clock.monotonicMs() - this.#lastStrikeMs;
    if (isWhole || (quietMs > healedMs && this.#comesBack)) this.#excused = 0;
    const now = serving(this.#world);
    const floor = this.#floor - this.#excused;
    assert.ok(now >= floor, `${now} groups serve, ${floor} were promised`);
  }

  #promised(): number {
    const { replicas, strategy } = this.spec;
    const isRolling = strategy.type === 'RollingUpdate';
    const isMoving = this.#world.deployment('m').status.currentRevision === undefined;
    if (isMoving) return 0;
    return isRolling ? replicas - strategy.rollingUpdate.maxUnavailable : this.#recreated();
  }

  /** Recreate promises nothing of what it moves, and everything else. */
  #recreated(): number {
    return this.#isWhole() ? this.spec.replicas : 0;
  }

  /** Ready, and not only because nobody has noticed yet. */
  #isWhole(): boolean {
    return (
      this.#world.isReady('m') &&
      groups(this.#world).every(({ index, incarnation, members }) =>
        members.every(({ nodeName, rank }) => {
          const node = this.#world.fleet.node(nodeName);
          const known = node.ranks.get(`default/m/${index}/${incarnation}/${rank}`);
          return node.isUp && !node.isCutOff && known?.state === 'Ready';
        }),
      )
    );
  }

  /** Only known revisions are kept to: groups of one that was deleted cannot start again. */
  #checkPause(isObserved: boolean): void {
    const now = new Map(
      this.spec.paused && isObserved
        ? groups(this.#world).map(({ index, revision }) => [index, revision])
        : [],
    );
    for (const [index, revision] of this.#lastPaused) {
      assert.equal(now.get(index) ?? revision, revision, `group ${index} was moved while paused`);
    }
    this.#lastPaused = now;
  }

  /** Requests go to groups that are Ready, and of those every rank said so last. */
  #checkRoutes(): void {
    const [route] = routesFrom(this.#world.state.deployments());
    const { endpoints = [], draining = [] } = route ?? {};
    for (const endpoint of endpoints) {
      assert.ok(!draining.includes(endpoint), `${endpoint} drains and is routed to`);
      const group = groups(this.#world).find((each) => each.endpoint === endpoint);
      assert.ok(group?.state === 'Ready', `${endpoint} is of no group that is Ready`);
    }
    for (const group of groups(this.#world).filter(({ state }) => state === 'Ready')) {
      for (const { nodeName, rank } of group.members) this.#checkRank(group, nodeName, rank);
    }
  }

  #checkRank({ index, incarnation }: GroupStatus, nodeName: string, rank: number): void {
    const id = `default/m/${index}/${incarnation}/${rank}`;
    const { report } = this.#world.fleet.latest(nodeName) ?? {};
    const state = report && (report.ranks.find((each) => each.id === id)?.state ?? 'not reported');
    assert.equal(state ?? 'Ready', 'Ready', `${id} is called Ready`);
  }
}

/** Plays all moves and checks the promises at every half second; then everything must become what was asked for last. */
export const play = async (setup: Setup, moves: readonly Move[]): Promise<void> => {
  const world = harness(nodeNames, setup.seed);
  const busy = seededRandom(setup.seed);
  const start = async (): Promise<unknown> =>
    world.startControlPlane({ requestsUnderWay: () => (setup.isBusy && busy() < 0.5 ? 1 : 0) });
  const model = new Model(world, setup.spec);
  world.state.applyDeployment('m', setup.spec);
  await start();
  await world.runUntil('the first rollout', () => world.isReady('m'), limitSeconds);
  model.check();
  for (const { command, steps } of moves) {
    if (command.do === 'controlPlane') await start();
    else carryOut(command, world, model);
    for (let step = 0; step < steps; step += 1) {
      await world.run(0.5);
      model.check();
    }
  }
  await converge(world, model);
};

const restartNow = ({ clock }: Harness) => ({
  restartTime: `${clock.now().toISOString().slice(0, 19)}Z`,
});

const contextOf = (contextLength: number) => ({ runtime: { ...spec().runtime, contextLength } });

const carryOut = (command: Command, world: Harness, model: Model): void => {
  switch (command.do) {
    case 'edit':
      return model.ask(contextOf(command.contextLength));
    case 'break':
      return model.ask(contextOf(brokenContextLength));
    case 'revert':
      return model.revert();
    case 'pause':
      return model.ask({ paused: true });
    case 'resume':
      return model.ask({ paused: false });
    case 'restart':
      return model.ask(restartNow(world));
    case 'scale':
      return model.ask({ replicas: command.replicas });
    case 'strategy':
      return model.ask({ strategy: command.strategy });
    case 'return':
      return world.fleet.nodes.forEach(bringBack);
    case 'kill':
    case 'lose':
    case 'cutOff':
      return strike(command, world, model);
    default:
      throw new Error(`no such command: ${command.do}`);
  }
};

const bringBack = (node: Harness['fleet']['nodes'][number]): void => {
  node.isCutOff = false;
  if (!node.isUp) node.boot();
};

const strike = (
  { do: what, group: number }: Extract<Command, { group: number }>,
  world: Harness,
  model: Model,
): void => {
  const group = groups(world)[number % Math.max(1, groups(world).length)];
  const [member] = group?.members ?? [];
  if (!group || !member) return;
  if (what === 'kill') {
    model.excuse(1);
    killGroup(world, group.index);
    return;
  }
  const down = world.fleet.nodes.filter(({ isUp, isCutOff }) => !isUp || isCutOff);
  if (down.length >= mostDown) return;
  const { nodeName } = member;
  model.excuse(
    groups(world).filter(({ members }) => members.some((each) => each.nodeName === nodeName))
      .length,
  );
  if (what === 'lose') crashNodeOf(world, group.index);
  else world.fleet.node(nodeName).isCutOff = true;
};

const converge = async (world: Harness, model: Model): Promise<void> => {
  world.fleet.nodes.forEach(bringBack);
  const { runtime } = model.spec;
  const isBroken = runtime.contextLength === brokenContextLength;
  const strategy = model.spec.strategy;
  model.ask({
    paused: false,
    runtime: isBroken ? { ...runtime, contextLength: 512 } : runtime,
    minReadySeconds: model.spec.minReadySeconds + 1,
    strategy: { ...strategy, rollingUpdate: { ...strategy.rollingUpdate, partition: 0 } },
    // What failed, if only for what fate did, is not tried again by itself.
    ...(world.deployment('m').status.failedRevision ? restartNow(world) : {}),
  });
  for (let step = 0; step < limitSeconds * 2 && !world.isReady('m'); step += 1) {
    await world.run(0.5);
    model.check();
  }
  const { status } = world.deployment('m');
  assert.ok(world.isReady('m'), JSON.stringify(status, null, 1));
  assert.deepEqual(
    status.groups.map(({ contextLength }) => contextLength),
    Array.from({ length: model.spec.replicas }, () => model.spec.runtime.contextLength),
  );
  const { currentRevision, updateRevision, effectiveRevision } = status;
  assert.deepEqual([currentRevision, effectiveRevision], [updateRevision, updateRevision]);
  await world.run(20);
  const writes = world.state.statusWrites;
  // After five good minutes the slate of each is wiped, once.
  const allowed = groups(world).filter(({ restarts }) => restarts > 0).length;
  await world.run(60);
  assert.ok(world.state.statusWrites <= writes + allowed, 'silence once it is done');
};
