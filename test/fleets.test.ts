import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planFiles } from '../src/cli/plan-files.ts';
import type { Plan, PlanOption } from '../src/planner/types.ts';

const planned = async (
  fleet: string,
  name: string,
): Promise<{ plan: Plan; options: PlanOption[] }> => {
  const { plans } = await planFiles([`examples/fleets/${fleet}`]);
  const found = plans.find((one) => one.name === name);
  assert.ok(found?.result.ok, JSON.stringify(found?.result));
  return found.result;
};

test('a 70B model takes all four minis, joined by RDMA, and is faster than on fewer', async () => {
  const { plan, options } = await planned('four-mac-minis', 'nemotron-70b');
  assert.deepEqual([plan.strategy, plan.tensorSize, plan.interconnectMode], ['Tensor', 4, 'RDMA']);
  const two = options.find(
    (option) =>
      option.tensorSize === 2 && option.pipelineSize === 1 && option.interconnectMode === 'RDMA',
  );
  assert.ok(two?.predicted && plan.predicted);
  assert.ok(plan.predicted.decodeTokensPerSecond > 1.4 * two.predicted.decodeTokensPerSecond);
  const single = options.find(({ strategy }) => strategy === 'Single');
  assert.equal(single?.reason, 'InsufficientMemory');
});

for (const name of ['deepseek-v31', 'kimi-k2']) {
  test(`${name} is cut over the four Mac Studios, both fit at once, and TCP would cost two thirds`, async () => {
    const { plan, options } = await planned('four-mac-studios', name);
    assert.deepEqual(
      [plan.strategy, plan.tensorSize, plan.interconnectMode],
      ['Tensor', 4, 'RDMA'],
    );
    const overTCP = options.find(
      (option) => option.tensorSize === 4 && option.interconnectMode === 'TCP' && option.predicted,
    );
    assert.ok(overTCP?.predicted && plan.predicted);
    assert.ok(overTCP.predicted.decodeTokensPerSecond < plan.predicted.decodeTokensPerSecond / 3);
  });
}

test('a plan for MLX over RDMA says what its ranks must be started with, and what they lose without', async () => {
  const { plan } = await planned('four-mac-minis', 'nemotron-70b');
  assert.equal(plan.engine, 'MLX');
  assert.deepEqual(plan.environment, { MLX_METAL_FAST_SYNCH: '1' });
  const without = Number(/gets ([\d.]+) tok\/s/.exec(plan.explanation)?.[1]);
  assert.ok(
    without > 5 && without < (plan.predicted?.decodeTokensPerSecond ?? 0) * 0.8,
    plan.explanation,
  );
});

test('eight minis: tensor groups inside the two meshes, stages between them, and a wired limit to set', async () => {
  const { plan } = await planned('eight-mac-minis', 'deepseek-v3');
  assert.deepEqual([plan.tensorSize, plan.pipelineSize], [4, 2]);
  assert.deepEqual([plan.interconnectMode, plan.hopMode], ['RDMA', 'TCP']);
  const meshes = [0, 1].map((stage) =>
    plan.ranks
      .filter((rank) => rank.stage === stage)
      .map(({ nodeName }) => nodeName)
      .toSorted(),
  );
  assert.deepEqual(meshes, [
    ['mini-1', 'mini-2', 'mini-3', 'mini-4'],
    ['mini-5', 'mini-6', 'mini-7', 'mini-8'],
  ]);
  // macOS lets the GPU of such a mini wire 48 of its 64 GiB unless told otherwise.
  const limits = plan.ranks.map(({ wiredLimitMiB }) => wiredLimitMiB);
  assert.ok(limits.some((limit) => limit !== undefined));
  for (const { wiredLimitMiB = 48 * 1024, memory } of plan.ranks) {
    assert.ok(wiredLimitMiB * 2 ** 20 >= memory.totalBytes);
  }
});

test('Thunderbolt 4 has no RDMA: DBRX goes over two M2 Ultras in stages, by TCP', async () => {
  const { plan, options } = await planned('four-m2-ultras', 'dbrx-132b');
  assert.deepEqual(
    [plan.strategy, plan.pipelineSize, plan.interconnectMode],
    ['Pipeline', 2, 'TCP'],
  );
  assert.ok(options.every(({ interconnectMode }) => interconnectMode !== 'RDMA'));
  assert.match(plan.explanation, /Thunderbolt4, RDMA needs Thunderbolt5/);
});

test('the old Macs of a mixed fleet are left out, because they would make it slower', async () => {
  const { plan, options } = await planned('mixed', 'qwen-coder-32b');
  assert.deepEqual(
    plan.ranks.map(({ nodeName }) => nodeName),
    ['pro-1', 'pro-2'],
  );
  const withAll = options.find(({ nodeNames }) => nodeNames.length === 4);
  assert.ok(withAll?.predicted && plan.predicted);
  assert.ok(withAll.predicted.decodeTokensPerSecond < plan.predicted.decodeTokensPerSecond / 2);
});
