import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { planFleet } from '../../src/planner/fleet/plan-fleet.ts';
import { plan } from '../../src/planner/plan.ts';
import type { PlanNode, PlanResult } from '../../src/planner/types.ts';
import type { ModelDeploymentSpec } from '../../src/resources/types.ts';
import { cabled, catalogue } from './fleets.ts';
import { GiB, input, node, profile, spec } from './builders.ts';

const single = { parallelism: { strategy: 'Single' as const } };
const tensor2 = { parallelism: { strategy: 'Tensor' as const, tensorSize: 2 } };
const mini = { hardwareModel: 'Mac16,11', chip: 'M4 Pro', memoryBytes: 48 * GiB };
const ultra = { hardwareModel: 'Mac15,14', chip: 'M3 Ultra', memoryBytes: 512 * GiB };
const nodesOf = (result: PlanResult | undefined): string =>
  result?.ok ? result.plan.ranks.map(({ nodeName }) => nodeName).join() : 'no plan';

const beside = (
  siblings: string[],
  nodes: PlanNode[],
  overrides: Partial<ModelDeploymentSpec>,
): string => nodesOf(plan({ ...input(profile(8), nodes, overrides), siblings }));

const groupsOn = (nodes: PlanNode[], gib: number, overrides: Partial<ModelDeploymentSpec>) => {
  const deployment = {
    namespace: 'default',
    name: 'm',
    model: profile(gib),
    spec: spec(overrides),
  };
  return planFleet({ nodes, catalogue, deployments: [deployment] }).flatMap(({ results }) =>
    results.map(nodesOf),
  );
};

describe('groups of one deployment, where no speed is known,', () => {
  const unlike = [node('a', { memoryBytes: 64 * GiB }), node('b'), node('c')];

  it('go to different nodes, though one is roomier', () => {
    assert.equal(beside([], unlike, single), 'a');
    assert.equal(beside(['a'], unlike, single), 'b');
    assert.equal(beside(['a', 'b'], unlike, single), 'c');
  });

  it('share the nodes that hold the fewest of them when there is no other', () => {
    assert.equal(beside(['a', 'a', 'b', 'c'], unlike, single), 'b');
    assert.equal(beside(['a', 'b'], unlike, tensor2), 'c,a');
  });

  it('keep apart from the host of another, whatever its nodes are called', () => {
    const onHosts = [
      node('a1', { hostID: 'a', memoryBytes: 64 * GiB }),
      node('a2', { hostID: 'a', memoryBytes: 64 * GiB }),
      node('b1'),
    ];
    assert.equal(beside(['a1'], onHosts, single), 'b1');
  });

  it('stay together on one host all the same, when ranks could not exchange within it otherwise', () => {
    const onHosts = ['a', 'b'].flatMap((host) =>
      [1, 2].map((index) => node(`${host}${index}`, { hostID: host })),
    );
    assert.equal(beside(['a1', 'a2'], onHosts, tensor2), 'b1,b2');
    const alone = [...onHosts.slice(0, 3)];
    assert.equal(beside(['a1', 'a2'], alone, tensor2), 'a1,a2');
  });

  it('that share a node say so', () => {
    const result = plan({ ...input(profile(8), [node('a')], single), siblings: ['a'] });
    assert.ok(result.ok);
    assert.match(
      result.plan.explanation,
      /a also holds another group of this deployment: both are lost with it\./,
    );
  });
});

describe('groups of one deployment on known Macs', () => {
  it('go to different nodes, and of equal nodes to different islands', () => {
    const islands = [0, 3].flatMap((first): [number, number][] => [
      [first, first + 1],
      [first, first + 2],
      [first + 1, first + 2],
    ]);
    const nodes = cabled(
      Array.from({ length: 6 }, () => mini),
      islands,
    );
    assert.deepEqual(groupsOn(nodes, 10, { ...single, replicas: 3 }), ['n0', 'n1', 'n2']);
    assert.deepEqual(groupsOn(nodes, 30, { ...tensor2, replicas: 2 }), ['n0,n1', 'n3,n4']);
    const broken = nodes.map((each, index) => ({
      ...each,
      usedMemoryBytes: index % 3 === 0 ? GiB : 0,
    }));
    assert.deepEqual(groupsOn(broken, 10, { ...single, replicas: 3 }), ['n1', 'n4', 'n2']);
  });

  it('share a node where that gives more in all', () => {
    const small = { hardwareModel: 'Macmini9,1', chip: 'M1', memoryBytes: 16 * GiB };
    const nodes = cabled([ultra, small], []);
    const two = { ...single, replicas: 2, objective: 'SingleStream' as const };
    assert.deepEqual(groupsOn(nodes, 6, two), ['n0', 'n0']);
    assert.deepEqual(groupsOn(cabled([ultra, mini], []), 6, two), ['n0', 'n1']);
  });

  it('leave nodes to those that come after them', () => {
    const pairs = [0, 1, 2].flatMap((a) => [1, 2, 3].map((b): [number, number] => [a, b]));
    const nodes = cabled(
      Array.from({ length: 4 }, () => mini),
      pairs,
    );
    const auto = { runtime: { ...spec().runtime, name: 'MLX' as const } };
    const sizes = (replicas: number) =>
      groupsOn(nodes, 16, { ...auto, replicas }).map((names) => names.split(',').length);
    assert.deepEqual(sizes(1), [4]);
    assert.deepEqual(sizes(2), [2, 2]);
    assert.deepEqual(sizes(4), [1, 1, 1, 1]);
  });

  it('share a node before they break the last island of its make', () => {
    const nodes = cabled([mini, mini, mini], [[0, 1]]);
    assert.deepEqual(groupsOn(nodes, 10, { ...single, replicas: 2 }), ['n2', 'n2']);
  });

  it('of two busy nodes take the one that holds another deployment', () => {
    const nodes = cabled([mini, mini], []).map((each) => ({
      ...each,
      usedMemoryBytes: (each.name === 'n0' ? 5 : 10) * GiB,
    }));
    const request = { deployment: { namespace: 'default', name: 'm', spec: spec(single) } };
    const found = plan({ ...request, model: profile(8), nodes, catalogue, siblings: ['n0'] });
    assert.equal(nodesOf(found), 'n1');
  });
});
