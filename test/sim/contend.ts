import assert from 'node:assert/strict';
import { holdsMemory, usageOf } from '../../src/controller/fleet/plan-nodes.ts';
import { plan } from '../../src/planner/plan.ts';
import type { PlanResult } from '../../src/planner/types.ts';
import type { GroupStatus, ModelDeployment, RevisionedSpec } from '../../src/resources/types.ts';
import { builtInOnly, node } from '../planner/builders.ts';
import { holds } from './broken-promise.ts';
import type { EvictionPromises } from './eviction-promises.ts';
import { mostGroups } from './group-count.ts';
import { deploymentNames, edit, pick, randomRank } from './user.ts';
import type { World } from './world.ts';

const rounds = 4;
/** Longer than a degraded group waits until it returns to the plan that was asked for. */
const quietSeconds = 45;
const settleSeconds = 900;

/**
 * No fault any more, and less room than users ask for: priorities decide who has it. After each change of mind it has to
 * become quiet, and then nobody waits whose place a lower one has.
 */
export const contend = async (
  world: World,
  check: () => void,
  evictions: EvictionPromises,
): Promise<void> => {
  for (let round = 0; round < rounds; round += 1) {
    evictions.count = 0;
    for (const name of deploymentNames) {
      if (round === 0 || world.random() < 0.5) {
        edit(world, name, { ...randomRank(world), replicas: pick(world, [1, 2, 3]) });
      }
    }
    const most = mostEvictions(world.deployments());
    await becomeQuiet(world, () => {
      check();
      const text = `${evictions.count} groups were evicted, ${most} are enough`;
      holds('no endless evictions', () => assert.ok(evictions.count <= most, text));
    });
    for (const deployment of world.deployments()) assertJust(world, deployment);
  }
};

/** A group is stopped for one of higher priority, and that for one of a still higher one. */
const mostEvictions = (deployments: readonly ModelDeployment[]): number =>
  deployments.reduce((sum, { spec }) => sum + mostGroups(spec), 0) * (deployments.length - 1);

const becomeQuiet = async (world: World, check: () => void): Promise<void> => {
  let { statusesWritten } = world;
  let seconds = 0;
  const isQuiet = (): boolean => {
    check();
    seconds = statusesWritten === world.statusesWritten ? seconds + 1 : 0;
    ({ statusesWritten } = world);
    return seconds > quietSeconds;
  };
  await world.runUntil('nothing changes any more', isQuiet, settleSeconds);
};

/** Of what waits when all is quiet: it has no place, and would have none if those left that it may stop. */
const assertJust = (world: World, deployment: ModelDeployment): void => {
  const { metadata, spec, status } = deployment;
  const waiting = status.groups.filter(
    ({ state, index }) => state === 'Waiting' && index < spec.replicas,
  );
  const held = world
    .deployments()
    .flatMap((other) =>
      other.status.groups
        .filter(holdsMemory)
        .map((group) => ({ group, priority: other.spec.priority })),
    );
  const groupsOf = (all: typeof held): GroupStatus[] => all.map(({ group }) => group);
  const higher = held.filter(({ priority }) => priority >= spec.priority);
  for (const group of waiting) {
    const name = `group ${group.index} of ${metadata.name}`;
    holds('no room left unused', () => {
      const { ok } = placeBeside(world, deployment, groupsOf(held), group);
      assert.ok(!ok, `${name} waits, and has a place: ${group.message ?? ''}`);
    });
    if (spec.preemptionPolicy === 'Never') continue;
    holds('no wait above lower priorities', () => {
      const { ok } = placeBeside(world, deployment, groupsOf(higher), group);
      assert.ok(!ok, `${name} of priority ${spec.priority} waits, lower ones have its place`);
    });
  }
};

const placeBeside = (
  world: World,
  { metadata, spec }: ModelDeployment,
  beside: readonly GroupStatus[],
  group: GroupStatus,
): PlanResult => {
  const usage = usageOf(beside);
  const revision = world.revisions().find((each) => each.metadata.name === group.revision);
  const { data } = revision as unknown as { data: RevisionedSpec };
  return plan({
    deployment: { namespace: 'default', name: metadata.name, spec: { ...spec, ...data } },
    model: world.model,
    nodes: world.fleet.nodes.map(({ name, memoryBytes }) =>
      node(name, { memoryBytes, usedMemoryBytes: usage.get(name) ?? 0 }),
    ),
    catalogue: builtInOnly,
  });
};
