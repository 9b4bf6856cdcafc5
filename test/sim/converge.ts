import assert from 'node:assert/strict';
import { findCondition } from '../../src/resources/conditions.ts';
import type { ModelDeployment } from '../../src/resources/types.ts';
import { holds } from './broken-promise.ts';
import { mostGroups } from './group-count.ts';
import { deploymentNames, isPoisoned, remove } from './user.ts';
import type { World } from './world.ts';

/** Longer than every backoff and deadline in a row that a repaired world can need. */
const settleSeconds = 900;

/** Waits until the world is what the users' last words say; then nothing may be left over. */
export const settle = async (world: World, check: () => void): Promise<void> => {
  await world.runUntil('everything is as the YAML says', () => isConverged(world), settleSeconds);
  world.trace.note('everything is as the YAML says');
  check();
  holds('no orphan', () => assertNothingLeftOver(world));
};

const isConverged = (world: World): boolean =>
  deploymentNames.every((name) => {
    const deployment = world.deployment(name);
    const isWanted = world.intents.wanted(name) !== undefined;
    return isWanted ? deployment && isSettled(world, deployment) : !deployment;
  }) && world.fleet.nodes.every(({ ranks }) => [...ranks.keys()].every(isListed(world)));

const isSettled = (world: World, deployment: ModelDeployment): boolean =>
  !deployment.metadata.deletionTimestamp &&
  deployment.status.observedGeneration === deployment.metadata.generation &&
  (isServed(world, deployment) || hasGivenUp(world, deployment));

/** Ready, by what the processes are. */
const isServed = (world: World, deployment: ModelDeployment): boolean => {
  const { spec, status, metadata } = deployment;
  if (!isTrue(deployment, 'Ready') || isTrue(deployment, 'Degraded')) return false;
  const sizes = status.groups.map(({ members }) => members.length);
  const processes = processesOf(world, metadata.name);
  return (
    sizes.length === spec.replicas &&
    processes.length === sizes.reduce((total, size) => total + size, 0) &&
    processes.every(
      ({ state, assignment }) =>
        state === 'Ready' && assignment.contextLength === spec.runtime.contextLength,
    )
  );
};

/** A poisoned revision does not come up: it is held, or the one before is back, if nobody deleted that. */
const hasGivenUp = (world: World, deployment: ModelDeployment): boolean => {
  const { spec, status } = deployment;
  if (!isPoisoned(deployment) || !isTrue(deployment, 'Stalled')) return false;
  const { currentRevision, updateRevision, groups } = status;
  const mayGoBack =
    currentRevision !== undefined &&
    currentRevision !== updateRevision &&
    world.revisions().some(({ metadata }) => metadata.name === currentRevision);
  if (groups.length > mostGroups(spec)) return false;
  if (spec.strategy.onFailure === 'Hold' || !mayGoBack) return true;
  return (
    isTrue(deployment, 'RolledBack') &&
    groups.length === spec.replicas &&
    groups.every(({ state }) => state === 'Ready')
  );
};

const isTrue = ({ status }: ModelDeployment, type: string): boolean =>
  findCondition(status.conditions, type)?.status === 'True';

const processesOf = (world: World, name: string) =>
  world.fleet.nodes.flatMap(({ ranks }) =>
    [...ranks].filter(([id]) => id.startsWith(`default/${name}/`)).map(([, rank]) => rank),
  );

const isListed = (world: World) => {
  const documents = world.fleet.documents();
  const listed = new Set(documents.flatMap(({ ranks }) => ranks.map(({ id }) => id)));
  return (id: string) => listed.has(id);
};

const assertNothingLeftOver = (world: World): void => {
  const deployments = new Map(world.deployments().map((each) => [each.metadata.uid, each]));
  for (const { metadata } of world.revisions()) {
    const owner = deployments.get(metadata.ownerReferences?.[0]?.uid ?? '');
    assert.ok(owner, `revision ${metadata.name} belongs to nobody`);
  }
  for (const { metadata, spec, status } of deployments.values()) {
    const own = world
      .revisions()
      .filter(({ metadata: { ownerReferences } }) => ownerReferences?.[0]?.uid === metadata.uid);
    const inUse = new Set([
      status.currentRevision,
      status.updateRevision,
      ...status.groups.map(({ revision }) => revision),
    ]);
    const surplus = own.filter(({ metadata: { name } }) => !inUse.has(name)).length;
    const text = `${metadata.name} keeps ${surplus} old revisions, ${spec.revisionHistoryLimit} were asked for`;
    assert.ok(surplus <= spec.revisionHistoryLimit, text);
  }
  const secret = world.server.objects('/secrets');
  assert.equal(secret.length, 1, 'there is one group key');
};

/** The user deletes one: it goes, with its processes and its revisions, and the others do not notice. */
export const removeOne = async (world: World, name: string, check: () => void): Promise<void> => {
  remove(world, name);
  const seconds = 120;
  await world.runUntil(`${name} is gone`, () => world.deployment(name) === undefined, seconds);
  const isQuiet = () => processesOf(world, name).length === 0;
  await world.runUntil(`nothing of ${name} runs`, isQuiet, seconds);
  await settle(world, check);
};
