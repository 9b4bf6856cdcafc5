import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from '../support/fast-check.ts';
import { preempt } from '../../src/planner/fleet/preemption.ts';
import type { PlacedGroup, Preemption } from '../../src/planner/fleet/preemption.ts';
import { plan } from '../../src/planner/plan.ts';
import type { PlanNode } from '../../src/planner/types.ts';
import type { ModelDeploymentSpec } from '../../src/resources/types.ts';
import { GiB, input, node, profile } from './builders.ts';

interface World {
  nodes: readonly PlanNode[];
  groups: readonly PlacedGroup[];
  priority: number;
  gib: number;
  parallelism: ModelDeploymentSpec['parallelism'];
}

const group = (
  deployment: string,
  priority: number,
  nodeNames: string,
  overrides: Partial<PlacedGroup> = {},
): PlacedGroup => ({
  deployment: `default/${deployment}`,
  index: 0,
  priority,
  isReady: true,
  since: '2026-11-23T00:00:00Z',
  ranks: nodeNames.split('+').map((nodeName) => ({ nodeName, memoryBytes: 30 * GiB })),
  ...overrides,
});

/** Nodes of 48 GiB, and what these groups hold on them. */
const holding = (
  names: readonly string[],
  groups: readonly PlacedGroup[],
  overrides: (index: number) => Partial<PlanNode> = () => ({}),
): PlanNode[] =>
  names.map((name, index) => {
    const ranks = groups.flatMap((each) => each.ranks).filter(({ nodeName }) => nodeName === name);
    const usedMemoryBytes = ranks.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
    return node(name, { usedMemoryBytes, ...overrides(index) });
  });

const planOf =
  ({ gib, parallelism }: Pick<World, 'gib' | 'parallelism'>) =>
  (nodes: readonly PlanNode[]) =>
    plan(input(profile(gib, { layers: 8 }), [...nodes], { parallelism }));

const without = ({ nodes }: World, gone: readonly PlacedGroup[]): PlanNode[] =>
  nodes.map((each) => {
    const freed = gone
      .flatMap(({ ranks }) => ranks)
      .filter(({ nodeName }) => nodeName === each.name)
      .reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
    return { ...each, usedMemoryBytes: each.usedMemoryBytes - freed };
  });

const preemptIn = (world: World): Preemption | undefined =>
  preempt({ ...world, plan: planOf(world) });

const plansIn = (world: World): number => {
  let plans = 0;
  const counted = (nodes: readonly PlanNode[]) => {
    plans += 1;
    return planOf(world)(nodes);
  };
  preempt({ ...world, plan: counted });
  return plans;
};

const leaving = (groups: readonly PlacedGroup[], overrides: Partial<World> = {}): string => {
  const names = ['a', 'b', 'c', 'd'];
  const world: World = {
    nodes: holding(names, groups),
    groups,
    priority: 10,
    gib: 20,
    parallelism: { strategy: 'Single' },
    ...overrides,
  };
  const found = preemptIn(world);
  return found
    ? found.victims.map(({ deployment, index }) => `${deployment}/${index}`).join()
    : '-';
};

describe('who leaves for a group of higher priority', () => {
  it('is nobody where there is a place', () => {
    assert.equal(leaving([group('w', 0, 'a'), group('x', 0, 'b')]), '');
  });

  it('is nobody of the same or of a higher priority', () => {
    const groups = ['a', 'b', 'c'].map((name) => group(name, 10, name));
    assert.equal(leaving([...groups, group('d', 11, 'd')]), '-');
    assert.equal(leaving([...groups, group('d', 9, 'd')]), 'default/d/0');
  });

  it('is of the lowest priority first', () => {
    const groups = ['a', 'b', 'c', 'd'].map((name, index) => group(name, 4 - index, name));
    assert.equal(leaving(groups), 'default/d/0');
  });

  it('is one that does not serve before one that does, and the last that serves at last', () => {
    const replicas = [
      group('m', 0, 'b', { since: '2026-11-22T00:00:00Z' }),
      group('m', 0, 'c', { index: 1, since: '2026-11-21T00:00:00Z' }),
    ];
    const alone = [group('x', 0, 'a', { since: '2026-11-23T12:00:00Z' }), group('y', 5, 'd')];
    assert.equal(leaving([...alone, ...replicas]), 'default/m/0');
    const starting = group('z', 0, 'c', { isReady: false, since: '2026-11-20T00:00:00Z' });
    assert.equal(leaving([...alone, ...replicas.slice(0, 1), starting]), 'default/z/0');
  });

  it('is the youngest among equals, then by name', () => {
    const groups = ['a', 'b', 'c', 'd'].map((name) => group(name, 0, name));
    assert.equal(leaving(groups), 'default/d/0');
    const young = group('b', 0, 'b', { since: '2026-11-23T01:00:00Z' });
    assert.equal(leaving(groups.with(1, young)), 'default/b/0');
  });

  it('is who leaves anyway, of whatever priority, and then nobody else', () => {
    const groups = ['a', 'b', 'c', 'd'].map((name) => group(name, 0, name));
    const going = group('c', 20, 'c', { isLeaving: true });
    assert.equal(leaving(groups.with(2, going)), 'default/c/0');
    const parallelism = { strategy: 'Tensor' as const, tensorSize: 2 };
    const two = leaving(groups.with(2, going), { gib: 60, parallelism });
    assert.equal(two, 'default/c/0,default/d/0');
  });

  it('is every group of a node where that is what it takes, and none of another', () => {
    const groups = [
      ...['a', 'b', 'c'].map((name) => group(name, 5, name)),
      ...['x', 'y', 'z'].map((name) =>
        group(name, 0, 'd', { ranks: [{ nodeName: 'd', memoryBytes: 14 * GiB }] }),
      ),
    ];
    assert.equal(leaving(groups, { gib: 40 }), 'default/z/0,default/y/0,default/x/0');
    assert.equal(leaving(groups, { gib: 25 }), 'default/z/0,default/y/0');
  });

  it('is the group that spans two nodes, not two groups, where both nodes are needed', () => {
    const groups = [group('pair', 1, 'a+b'), group('c', 0, 'c'), group('d', 2, 'd')];
    const parallelism = { strategy: 'Tensor' as const, tensorSize: 2 };
    assert.equal(leaving(groups, { gib: 60, parallelism }), 'default/pair/0');
  });
});

const isLower =
  ({ priority }: World) =>
  (each: PlacedGroup): boolean =>
    each.isLeaving === true || each.priority < priority;

const worlds: fc.Arbitrary<World> = fc
  .record({
    hosts: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 6 }),
    placed: fc.array(
      fc.record({
        name: fc.constantFrom('u', 'v', 'w'),
        nodes: fc.array(fc.nat(5), { minLength: 1, maxLength: 3 }),
        gib: fc.integer({ min: 1, max: 24 }),
        isReady: fc.boolean(),
        isLeaving: fc.boolean(),
        since: fc.constantFrom('2026-11-22T00:00:00Z', '2026-11-23T00:00:00Z'),
      }),
      { maxLength: 8 },
    ),
    priorities: fc.record({ u: fc.nat(3), v: fc.nat(3), w: fc.nat(3) }),
    priority: fc.integer({ min: 0, max: 4 }),
    gib: fc.integer({ min: 4, max: 90 }),
    parallelism: fc.constantFrom<ModelDeploymentSpec['parallelism']>(
      { strategy: 'Auto' },
      { strategy: 'Single' },
      { strategy: 'Tensor', tensorSize: 2 },
      { strategy: 'Pipeline', pipelineSize: 3 },
    ),
  })
  .map(({ hosts, placed, priorities, ...rest }) => {
    const names = hosts.map((_, index) => `n${index}`);
    const groups = placed.map(({ name, nodes, gib, ...each }, index): PlacedGroup => {
      const on = [...new Set(nodes.map((at) => names[at % names.length] ?? ''))];
      const ranks = on.map((nodeName) => ({ nodeName, memoryBytes: gib * GiB }));
      return { deployment: `default/${name}`, index, priority: priorities[name], ranks, ...each };
    });
    return {
      nodes: holding(names, groups, (at) => ({ hostID: `h${hosts[at]}` })),
      groups,
      ...rest,
    };
  });

describe('for whatever is placed', () => {
  it('nobody leaves in vain: without the victims there is a plan, with any one of them there is none', () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const found = preemptIn(world);
        const lower = world.groups.filter(isLower(world));
        const planned = planOf(world);
        assert.equal(found !== undefined, planned(without(world, lower)).ok);
        if (!found) return;
        assert.ok(found.victims.every((victim) => lower.includes(victim)));
        assert.ok(planned(without(world, found.victims)).ok);
        for (const victim of found.victims) {
          const others = found.victims.filter((each) => each !== victim);
          assert.ok(!planned(without(world, others)).ok, `${victim.deployment} could stay`);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('nobody of a priority leaves while room of lower ones would do', () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const asked = preemptIn(world)?.victims.filter(({ isLeaving }) => !isLeaving) ?? [];
        const dearest = Math.max(...asked.map(({ priority }) => priority));
        const cheaper = world.groups.filter(isLower({ ...world, priority: dearest }));
        assert.ok(dearest === -Infinity || !planOf(world)(without(world, cheaper)).ok);
      }),
      { numRuns: 300 },
    );
  });

  it('the order of nodes and groups changes nothing', () => {
    const shuffled = worlds.chain((world) =>
      fc.record({
        world: fc.constant(world),
        nodes: fc.shuffledSubarray([...world.nodes], { minLength: world.nodes.length }),
        groups: fc.shuffledSubarray([...world.groups], { minLength: world.groups.length }),
      }),
    );
    fc.assert(
      fc.property(shuffled, ({ world, nodes, groups }) => {
        assert.deepEqual(preemptIn({ ...world, nodes, groups }), preemptIn(world));
      }),
      { numRuns: 300 },
    );
  });

  it('it takes one plan to find that there is no way, and few to find the best', () => {
    const names = Array.from({ length: 64 }, (_, index) => `n${index}`);
    const groups = names.map((name, index) => group(name, index, name));
    const nodes = holding(names, groups);
    const world: World = {
      nodes,
      groups,
      priority: 64,
      gib: 20,
      parallelism: { strategy: 'Single' },
    };
    assert.equal(plansIn({ ...world, gib: 60 }), 1);
    for (const priority of [1, 2, 40, 64]) {
      assert.ok(plansIn({ ...world, priority }) <= 2 + Math.log2(64), `priority ${priority}`);
    }
  });
});
