import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { plan } from '../../src/planner/plan.ts';
import { planFleet } from '../../src/planner/fleet/plan-fleet.ts';
import type { PlanResult } from '../../src/planner/types.ts';
import type { ModelDeploymentSpec } from '../../src/resources/types.ts';
import { cabled, catalogue } from './fleets.ts';
import { GiB, profile, spec } from './builders.ts';

const mini = { hardwareModel: 'Mac16,11', chip: 'M4 Pro', memoryBytes: 48 * GiB };
const deployment = (name: string, gib: number, overrides: Partial<ModelDeploymentSpec> = {}) => ({
  namespace: 'default',
  name,
  model: profile(gib),
  spec: spec(overrides),
});
const single = { parallelism: { strategy: 'Single' as const } };
const nodesOf = (result: PlanResult | undefined): string =>
  result?.ok ? result.plan.ranks.map(({ nodeName }) => nodeName).join() : 'no plan';

describe('many deployments', () => {
  it('spare the last full mesh while another node will do, and share only then', () => {
    const nodes = cabled([mini, mini, mini], [[0, 1]]);
    const plans = planFleet({
      nodes,
      catalogue,
      deployments: ['a', 'b'].map((name) => deployment(name, 10, single)),
    });
    assert.deepEqual(
      plans.map(({ results }) => nodesOf(results[0])),
      ['n2', 'n2'],
    );
  });

  it('leave the last full mesh to the one that needs it, whatever their names', () => {
    const nodes = cabled([mini, mini, mini], [[0, 1]]);
    const plans = planFleet({
      nodes,
      catalogue,
      deployments: [deployment('a', 16), deployment('b', 40)],
    });
    assert.deepEqual(
      plans.map(({ name, results }) => [name, nodesOf(results[0])]),
      [
        ['a', 'n2'],
        ['b', 'n0,n1'],
      ],
    );
  });

  it('use idle nodes before busy ones, and plan every replica', () => {
    const nodes = cabled([mini, mini, mini], []);
    const [planned] = planFleet({
      nodes,
      catalogue,
      deployments: [deployment('a', 10, { ...single, replicas: 3 })],
    });
    assert.deepEqual(planned?.results.map(nodesOf), ['n0', 'n1', 'n2']);
  });

  it('hand back what still stands and plan anew what lost a node', () => {
    const nodes = cabled([mini, mini, mini, mini], []);
    const deployments = ['a', 'b', 'c'].map((name) => deployment(name, 10, single));
    const current = planFleet({ nodes, catalogue, deployments });
    const left = nodes.map((each) => ({ ...each, available: each.name !== 'n1' }));
    const after = planFleet({ nodes: left, catalogue, deployments, current });
    assert.equal(after[0]?.results[0], current[0]?.results[0]);
    assert.equal(after[2]?.results[0], current[2]?.results[0]);
    assert.equal(nodesOf(after[1]?.results[0]), 'n3');
  });

  it('stay where what they want left free was taken later, whoever comes first', () => {
    const nodes = cabled([mini], []);
    const a = deployment('a', 8, { placement: { ...spec().placement, memoryHeadroom: '8Gi' } });
    const b = deployment('b', 26, single);
    const ranked = (priority: number) => [a, { ...b, spec: { ...b.spec, priority } }];
    const current = planFleet({ nodes, catalogue, deployments: ranked(-1) });
    assert.deepEqual(
      current.map(({ results }) => nodesOf(results[0])),
      ['n0', 'n0'],
    );
    const after = planFleet({ nodes, catalogue, deployments: ranked(1), current });
    assert.equal(after[0]?.results[0], current[0]?.results[0]);
    assert.equal(after[1]?.results[0], current[1]?.results[0]);
  });
});

describe('deployments of different priority', () => {
  const nodes = cabled([mini, mini], []).map((each) => ({ ...each, labels: { name: each.name } }));
  const low = deployment('low', 30, { ...single, replicas: 2 });
  const asking = (overrides: Partial<ModelDeploymentSpec>) =>
    deployment('high', 30, { ...single, priority: 10, ...overrides });
  const preempting = { preemptionPolicy: 'PreemptLowerPriority' as const };
  const resultsOf = (high: ReturnType<typeof asking>, current = true) => {
    const running = planFleet({ nodes, catalogue, deployments: [low] });
    const [first, second] = planFleet({
      nodes,
      catalogue,
      deployments: [low, high],
      ...(current ? { current: running } : {}),
    });
    return { high: first?.results ?? [], low: second?.results ?? [] };
  };

  it('get their place in order of priority, and a refusal says who holds the room', () => {
    const { high, low: others } = resultsOf(asking({}), false);
    assert.deepEqual(
      [high, others].map((results) => results.map(nodesOf)),
      [['n0'], ['n1', 'no plan']],
    );
    const refused = others[1];
    assert.ok(refused && !refused.ok);
    assert.match(refused.message, /held by default\/high \(priority 10\)/);
  });

  it('take no place from what runs, unless they may and it has a lower one', () => {
    for (const asked of [{}, { ...preempting, priority: 0 }, { ...preempting, priority: -1 }]) {
      const { high, low: others } = resultsOf(asking(asked));
      assert.deepEqual(high.map(nodesOf), ['no plan']);
      assert.deepEqual(others.map(nodesOf), ['n0', 'n1']);
    }
  });

  it('take the place of one group and no more, and it says for whom it left', () => {
    const { high, low: others } = resultsOf(asking(preempting));
    assert.deepEqual(high.map(nodesOf), ['n1']);
    assert.deepEqual(others.map(nodesOf), ['n0', 'no plan']);
    assert.ok(high[0]?.options.some(({ verdict }) => verdict === 'Chosen'));
    const left = others[1];
    assert.ok(left && !left.ok);
    assert.equal(left.reason, 'Preempted');
    assert.match(left.message, /^default\/high \(priority 10\) takes its place; /);
  });

  it('leave a group that has to go its pick of what is free', () => {
    const one = { ...low, spec: { ...low.spec, replicas: 1 } };
    const current = planFleet({ nodes, catalogue, deployments: [one] });
    const { placement } = one.spec;
    const nodeSelector = { matchLabels: { name: 'n0' } };
    const high = asking({ ...preempting, placement: { ...placement, nodeSelector } });
    const plans = planFleet({ nodes, catalogue, deployments: [one, high], current });
    assert.deepEqual(
      plans.map(({ name, results }) => [name, ...results.map(nodesOf)]),
      [
        ['high', 'n0'],
        ['low', 'n1'],
      ],
    );
  });
});

const planOn = (overrides: Partial<ModelDeploymentSpec>, cables: [number, number][]) => {
  const { model, ...rest } = deployment('a', 30, overrides);
  const nodes = cabled([mini, mini], cables);
  return plan({ deployment: rest, model, nodes, catalogue });
};
const atLeast = (minTokensPerSecond: number) =>
  planOn({ degradation: { allow: [], minTokensPerSecond } }, []);

describe('a deployment on known Macs', () => {
  it('is cut where that is faster, and says what the other options would have given', () => {
    const result = planOn({ objective: 'SingleStream' }, [[0, 1]]);
    assert.ok(result.ok);
    assert.deepEqual([result.plan.strategy, result.plan.interconnectMode], ['Tensor', 'RDMA']);
    assert.ok((result.plan.predicted?.decodeTokensPerSecond ?? 0) > 0);
    const [chosen, ...others] = result.options;
    assert.equal(chosen?.verdict, 'Chosen');
    const slower = others.find(({ verdict }) => verdict === 'Slower');
    assert.match(slower?.message ?? '', /tok\/s for one request, chosen: [\d.]+ tok\/s/);
  });

  it('is refused when nothing is fast enough, with what it would take', () => {
    const slow = atLeast(25);
    assert.ok(!slow.ok);
    assert.deepEqual([slow.reason, slow.terminal], ['BelowMinimumSpeed', false]);
    assert.match(
      slow.message,
      /no plan on this fleet is sensible: the fastest gives [\d.]+ tok\/s/,
    );
    assert.match(slow.message, /would do; or lower it/);
    const never = atLeast(100_000);
    assert.ok(!never.ok && never.terminal);
    assert.match(never.message, /data-centre GPUs/);
  });
});
