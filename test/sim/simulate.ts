import assert from 'node:assert/strict';
import type { ModelDeployment } from '../../src/resources/types.ts';
import { nodeSpec } from '../controller/harness.ts';
import { assertHonestConditions } from '../controller/honest-conditions.ts';
import { spec } from '../planner/builders.ts';
import type { SimNode } from '../support/sim-node.ts';
import { World } from './world.ts';

const nodeNames = ['a', 'b', 'c'];
const deploymentNames = ['m', 'n'];
const maxSteps = 200;
/** The longest backoff of the controller, and of the way to the server. */
const settlingMs = 60_000;

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

const pick = <T>(world: World, list: readonly T[]): T =>
  list[Math.floor(world.random() * list.length)] as T;

const disturb = async (world: World): Promise<void> => {
  const name = pick(world, deploymentNames);
  const node = pick(world, world.fleet.nodes);
  const replica = pick(world, [...world.replicas]);
  const edit = () => world.apply('ModelDeployment', name, randomSpec(world));
  const disturbances: (() => void | Promise<void>)[] = [
    () => killSomeRank(world),
    () => killSomeRank(world),
    () => repairEverything(world),
    () => repairEverything(world),
    () => node.crash(),
    () => {
      node.isCutOff = true;
    },
    edit,
    edit,
    () => revert(world, name),
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
  ];
  await pick(world, disturbances)();
};

const disturbServer = (world: World): void => {
  const rate = pick(world, [0.1, 0.3, 0.6]);
  for (const { network } of world.replicas) network.rate = rate;
  world.disturb();
};

const lastSpecs = new WeakMap<World, Map<string, unknown>>();

/** Git revert: back to the spec before. */
const revert = (world: World, name: string): void => {
  const before = lastSpecs.get(world)?.get(name);
  if (before) world.apply('ModelDeployment', name, before);
};

const randomSpec = (world: World) => {
  const next = spec({
    ...pick(world, [
      { parallelism: { strategy: 'Tensor' as const, tensorSize: 2 } },
      { parallelism: { strategy: 'Pipeline' as const, pipelineSize: 2 } },
      { parallelism: { strategy: 'Single' as const } },
    ]),
    replicas: pick(world, [0, 1, 1, 1, 1, 2]),
    paused: world.random() < 0.1,
    minReadySeconds: pick(world, [0, 5]),
    restartPolicy: { maxGroupRestarts: 50, backoffSeconds: 1 },
  });
  const known = lastSpecs.get(world) ?? new Map<string, unknown>();
  lastSpecs.set(world, known.set(pick(world, deploymentNames), next));
  return next;
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
  }
  for (const node of world.fleet.nodes) {
    if (!node.isUp) node.boot();
    node.isCutOff = false;
    world.apply('ClusterNode', node.name, nodeSpec());
  }
  for (const name of deploymentNames) {
    if (!world.deployment(name)) world.apply('ModelDeployment', name, randomSpec(world));
  }
};

/** What must hold at every moment. */
const check = (world: World, lostOnce: Set<string>): void => {
  for (const node of world.fleet.nodes) noteLoss(world, node, lostOnce);
  assertOneStartPerGroup(world, lostOnce);
  assertOneStartPublished(world);
  const terms = [...world.replicas].filter(({ term }) => term && !term.signal.aborted);
  assert.ok(terms.length <= 1, 'two replicas lead');
  for (const deployment of world.deployments()) {
    assertHonestConditions(deployment);
    assertReadyAsReported(world, deployment);
  }
};

/** A node that was given up runs what it has until it hears otherwise; it counts again once it answered. */
const noteLoss = (world: World, node: SimNode, lostOnce: Set<string>): void => {
  const document = world.fleet.documents().find(({ nodeName }) => nodeName === node.name);
  if (!node.isUp || node.isCutOff || !document) lostOnce.add(node.name);
  else if (node.report().observedVersion === document.version) {
    const listed = new Set(document.ranks.map(({ id }) => id));
    if ([...node.ranks.keys()].every((id) => listed.has(id))) lostOnce.delete(node.name);
  }
};

const assertOneStartPerGroup = (world: World, except: Set<string>): void => {
  const starts = new Map<string, string>();
  for (const node of world.fleet.nodes.filter(({ name, isUp }) => isUp && !except.has(name))) {
    for (const [id, { state }] of node.ranks) {
      if (state === 'Failed') continue;
      const [namespace, deployment, index, incarnation = ''] = id.split('/');
      const group = `${namespace}/${deployment}/${index}`;
      const other = starts.get(group) ?? incarnation;
      assert.equal(incarnation, other, `${group} runs as two starts`);
      starts.set(group, incarnation);
    }
  }
};

const assertOneStartPublished = (world: World): void => {
  const starts = new Map<string, number>();
  for (const rank of world.fleet.documents().flatMap(({ ranks }) => ranks)) {
    const group = `${rank.deployment}/${rank.groupIndex}`;
    const other = starts.get(group) ?? rank.incarnation;
    assert.equal(rank.incarnation, other, `documents list two starts of ${group}`);
    starts.set(group, rank.incarnation);
  }
};

/** Reports wait for the one worker, and its writes for the server. */
const noticeMs = 2000;
const wrongSince = new WeakMap<World, Map<string, number>>();

/** No false Ready for longer than it takes to write it down, while a control plane leads and reaches its server. */
const assertReadyAsReported = (world: World, deployment: ModelDeployment): void => {
  const since = wrongSince.get(world) ?? new Map<string, number>();
  wrongSince.set(world, since);
  const isQuiet = world.clock.monotonicMs() - world.disturbedAtMs > settlingMs;
  const isFaulty = [...world.replicas].some(({ network }) => network.rate > 0 || network.isDown);
  const { name } = deployment.metadata;
  const wrong = world.leader() && isQuiet && !isFaulty ? falseClaim(world, deployment) : undefined;
  if (wrong === undefined) {
    since.delete(name);
    return;
  }
  const nowMs = world.clock.monotonicMs();
  const sinceMs = since.get(name) ?? nowMs;
  since.set(name, sinceMs);
  assert.ok(nowMs - sinceMs <= noticeMs, `${name} is called Ready, but ${wrong}`);
};

/** What a Ready deployment's ranks say that is something else. */
const falseClaim = (world: World, { metadata, status }: ModelDeployment): string | undefined => {
  const ready = status.conditions.find(({ type }) => type === 'Ready');
  if (ready?.status !== 'True' || status.observedGeneration !== metadata.generation)
    return undefined;
  for (const group of status.groups) {
    if (group.state !== 'Ready') return `group ${group.index} is ${group.state}`;
    for (const { nodeName, rank } of group.members) {
      const id = `default/${metadata.name}/${group.index}/${group.incarnation}/${rank}`;
      const report = world.fleet.latest(nodeName)?.report.ranks.find((each) => each.id === id);
      if (report?.state !== 'Ready') return `${id} is ${report?.state ?? 'not reported'}`;
    }
  }
  return undefined;
};

/** All faults end; the last words of the user hold, and then there is silence. */
const converge = async (world: World, lostOnce: Set<string>): Promise<void> => {
  repairEverything(world);
  // Replicas that are under way to their end may not come back with their faults.
  await world.run(20);
  repairEverything(world);
  for (const name of deploymentNames) {
    const deployment = world.deployment(name);
    if (deployment && !deployment.metadata.deletionTimestamp) {
      world.apply('ModelDeployment', name, { ...deployment.spec, paused: false });
    }
  }
  await world.run(10);
  await world.runUntil('everything is as the YAML says', () => isConverged(world), 900);
  check(world, lostOnce);
  await world.run(30);
  const before = writes(world);
  await world.run(120);
  const idle = writes(world) - before;
  assert.ok(idle <= 2, `${idle} writes in two idle minutes`);
};

/** Leases aside: they are the heartbeat. */
const writes = ({ server }: World): number =>
  [...server.writes]
    .filter(([collection]) => !collection.endsWith('/leases'))
    .reduce((sum, [, count]) => sum + count, 0);

const isConverged = (world: World): boolean =>
  world
    .deployments()
    .every(
      ({ metadata, status }) =>
        !metadata.deletionTimestamp &&
        status.observedGeneration === metadata.generation &&
        status.conditions.some(({ type, status }) => type === 'Ready' && status === 'True') &&
        !status.conditions.some(({ type }) => type === 'Degraded'),
    ) && hasNoOrphans(world);

const hasNoOrphans = (world: World): boolean => {
  const listed = new Set(world.fleet.documents().flatMap(({ ranks }) => ranks.map(({ id }) => id)));
  return world.fleet.nodes.every((node) => [...node.ranks.keys()].every((id) => listed.has(id)));
};
