import assert from 'node:assert/strict';
import type { ModelDeployment } from '../../src/resources/types.ts';
import { assertHonestConditions } from '../controller/honest-conditions.ts';
import type { SimNode } from '../support/sim-node.ts';
import { askedSince } from './user.ts';
import type { World } from './world.ts';

/** The longest backoff of the controller, and of the way to the server. */
const settlingMs = 60_000;

/** What must hold at every moment. */
export const check = (world: World, lostOnce: Set<string>): void => {
  for (const node of world.fleet.nodes) noteLoss(world, node, lostOnce);
  assertOneStartPerGroup(world, lostOnce);
  assertOneStartPublished(world);
  const terms = [...world.replicas].filter(({ term }) => term && !term.signal.aborted);
  assert.ok(terms.length <= 1, 'two replicas lead');
  assert.deepEqual(world.violations, []);
  for (const deployment of world.deployments()) {
    assertHonestConditions(deployment);
    assertReadyAsReported(world, deployment);
    assertNoMoreThanAskedFor(world, deployment);
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

/** Between two looks. */
const longestStepMs = 5000;

const mostGroups = ({ replicas, strategy }: ModelDeployment['spec']): number =>
  replicas + (strategy.type === 'RollingUpdate' ? strategy.rollingUpdate.maxSurge : 0);

const heldOnce = new WeakMap<World, Map<string, { held: number; allowed: number }>>();

/** Groups that hold a place: replicas and surge, and what is left of a larger number until it is gone. */
const assertNoMoreThanAskedFor = (
  world: World,
  { metadata, spec, status }: ModelDeployment,
): void => {
  const known = heldOnce.get(world) ?? new Map<string, { held: number; allowed: number }>();
  heldOnce.set(world, known);
  const specs = [
    spec,
    ...askedSince(world, metadata.name, world.clock.monotonicMs() - longestStepMs),
  ];
  const asked = Math.max(...specs.map(mostGroups));
  const before = known.get(metadata.uid) ?? { held: 0, allowed: asked };
  const isObserved = status.observedGeneration === metadata.generation;
  const allowed = Math.max(asked, isObserved ? before.held : before.allowed);
  const held = status.groups.filter(({ members }) => members.length > 0).length;
  assert.ok(held <= allowed, `${metadata.name} holds ${held} groups, ${allowed} are allowed`);
  known.set(metadata.uid, { held, allowed });
};
