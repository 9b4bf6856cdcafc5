import assert from 'node:assert/strict';
import { it } from 'node:test';
import * as fc from '../support/fast-check.ts';
import { capacityOf, hostOf } from '../../src/planner/capacity.ts';
import { partitionLayers } from '../../src/planner/partition.ts';
import { plan } from '../../src/planner/plan.ts';
import type { PlanInput, PlanNode, PlanResult } from '../../src/planner/types.ts';
import { GiB, input, node, profile } from './builders.ts';

const runs = { numRuns: 400 };

/** Up to eight nodes on up to eight hosts; nodes of one host claim the same memory. */
const fleets = fc
  .array(
    fc.record({
      host: fc.integer({ min: 0, max: 7 }),
      usedGiB: fc.integer({ min: 0, max: 12 }),
      available: fc.boolean(),
      cordoned: fc.integer({ min: 0, max: 5 }).map((value) => value === 0),
      rdma: fc.boolean(),
    }),
    { minLength: 1, maxLength: 8 },
  )
  .chain((members) =>
    fc
      .array(fc.constantFrom(8, 16, 16.5, 24, 48, 64), { minLength: 8, maxLength: 8 })
      .map((memories) =>
        members.map((member, index) =>
          node(`n${index}`, {
            hostID: `h${member.host}`,
            memoryBytes: (memories[member.host] ?? 8) * GiB,
            usedMemoryBytes: member.usedGiB * GiB,
            available: member.available || index === 0,
            cpuCount: 1 + member.host,
            spec: { ...node('x').spec, unschedulable: member.cordoned },
            links: members.map((_, peer) => ({
              peerNodeName: `n${peer}`,
              type: 'Thunderbolt5',
              rdma: member.rdma,
              up: true,
            })),
          }),
        ),
      ),
  );

const models = fc
  .record({
    gib: fc.integer({ min: 1, max: 120 }),
    layers: fc.integer({ min: 1, max: 12 }),
    kvHeads: fc.constantFrom(1, 2, 3, 4, 8),
    tiedEmbeddings: fc.boolean(),
  })
  .map(({ gib, kvHeads, ...rest }) => profile(gib, { ...rest, kvHeads, heads: kvHeads * 8 }));

const parallelisms = fc.oneof(
  fc.constant({ strategy: 'Auto' as const }),
  fc.constant({ strategy: 'Single' as const }),
  fc.record({ strategy: fc.constant('Tensor' as const), tensorSize: fc.constantFrom(2, 3, 4, 8) }),
  fc.record({
    strategy: fc.constant('Pipeline' as const),
    pipelineSize: fc.integer({ min: 2, max: 6 }),
  }),
  fc.record({
    strategy: fc.constant('Hybrid' as const),
    tensorSize: fc.constantFrom(2, 4),
    pipelineSize: fc.integer({ min: 2, max: 3 }),
  }),
  fc.constant({ strategy: 'Hybrid' as const }),
);

const inputs = fc
  .record({
    nodes: fleets,
    model: models,
    parallelism: parallelisms,
    interconnect: fc.record({
      mode: fc.constantFrom('Auto' as const, 'RDMA' as const, 'TCP' as const),
      fallback: fc.constantFrom('Allow' as const, 'Forbid' as const),
    }),
    degradation: fc.record({
      allow: fc.subarray(['FewerNodes' as const, 'Pipeline' as const, 'TCP' as const]),
      minTokensPerSecond: fc.constant(0),
    }),
    current: fc.option(
      fc.record({
        tensorSize: fc.constantFrom(1, 2),
        pipelineSize: fc.constantFrom(1, 2),
        nodeNames: fc.subarray(['n0', 'n1', 'n2', 'n3'], { minLength: 1 }),
      }),
      { nil: undefined },
    ),
  })
  .map(({ nodes, model, current, ...overrides }): PlanInput => ({
    ...input(model, nodes, overrides),
    ...(current ? { current } : {}),
  }));

const placed = (result: PlanResult) => (result.ok ? result.plan.ranks : []);

it('never plans over the memory of a node or of a host', () => {
  fc.assert(
    fc.property(inputs, (given) => {
      const capacity = capacityOf(given.nodes, given.nodes, {
        memoryHeadroom: '0',
        sparesGPU: false,
      });
      const takenOnHost = new Map<string, number>();
      for (const { nodeName, memory } of placed(plan(given))) {
        const candidate = capacity.candidates.find(({ node: { name } }) => name === nodeName);
        assert.ok(candidate && memory.totalBytes <= candidate.freeBytes);
        const taken = (takenOnHost.get(candidate.host) ?? 0) + memory.totalBytes;
        takenOnHost.set(candidate.host, taken);
        assert.ok(taken <= (capacity.hostFreeBytes.get(candidate.host) ?? 0));
      }
    }),
    runs,
  );
});

it('always cuts validly, on distinct nodes that may be used', () => {
  fc.assert(
    fc.property(inputs, (given) => {
      const result = plan(given);
      if (!result.ok) return;
      const { ranks, tensorSize, pipelineSize } = result.plan;
      assert.equal(ranks.length, tensorSize * pipelineSize);
      assert.equal(new Set(ranks.map(({ nodeName }) => nodeName)).size, ranks.length);
      let nextLayer = 0;
      for (const [index, rank] of ranks.entries()) {
        assert.equal(rank.rank, index);
        assert.equal(rank.stage * tensorSize + rank.tensorRank, index);
        if (rank.tensorRank === 0) {
          assert.equal(rank.firstLayer, nextLayer);
          assert.ok(rank.endLayer > rank.firstLayer);
          nextLayer = rank.endLayer;
        }
        assert.equal(rank.endLayer, nextLayer);
        const found = given.nodes.find(({ name }) => name === rank.nodeName);
        assert.ok(found?.available && !found.spec.unschedulable);
      }
      assert.equal(nextLayer, given.model.layers.length);
    }),
    runs,
  );
});

it('gives the same plan for the same input in any order of nodes and links', () => {
  fc.assert(
    fc.property(inputs, fc.infiniteStream(fc.nat()), (given, order) => {
      const shuffled = shuffle(given.nodes, order).map((each) => ({
        ...each,
        links: shuffle(each.links, order),
      }));
      assert.deepEqual(plan({ ...given, nodes: shuffled }), plan(given));
    }),
    runs,
  );
});

it('is never worse off for an empty node', () => {
  const extras = fc.record({
    gib: fc.constantFrom(4, 16, 64, 256),
    host: fc.integer({ min: 0, max: 8 }),
  });
  fc.assert(
    fc.property(inputs, extras, (given, { gib, host }) => {
      const extra = node('extra', { hostID: `h${host}`, memoryBytes: gib * GiB });
      const before = plan(given);
      const after = plan({ ...given, nodes: [...given.nodes, extra] });
      assert.ok(after.ok || !before.ok, after.ok ? '' : after.message);
    }),
    runs,
  );
});

it('does not move for the loss of a node that it does not use', () => {
  fc.assert(
    fc.property(inputs, fc.nat(), (given, pick) => {
      const before = plan(given);
      if (!before.ok) return;
      const used = new Set(before.plan.ranks.map(({ nodeName }) => nodeName));
      const idle = given.nodes.filter(({ name }) => !used.has(name));
      const lost = idle[pick % Math.max(1, idle.length)];
      if (!lost) return;
      const nodes = given.nodes.map((each): PlanNode =>
        each === lost ? { ...each, available: false } : each,
      );
      const after = plan({ ...given, nodes });
      assert.ok(after.ok);
      assert.equal(after.plan.hash, before.plan.hash);
    }),
    runs,
  );
});

it('leaves a running group alone as long as it is what was asked for and fits', () => {
  fc.assert(
    fc.property(inputs, fleets, (given, others) => {
      const before = plan(given);
      if (!before.ok || before.plan.degradedBy.length > 0) return;
      const { tensorSize, pipelineSize, ranks } = before.plan;
      const current = {
        tensorSize,
        pipelineSize,
        nodeNames: ranks.map(({ nodeName }) => nodeName),
      };
      const hosts = new Set(given.nodes.map(hostOf));
      const added = others
        .filter((each) => !hosts.has(hostOf(each)))
        .map((each) => ({ ...each, name: `other-${each.name}` }));
      const after = plan({ ...given, nodes: [...given.nodes, ...added], current });
      assert.ok(after.ok);
      assert.equal(after.plan.hash, before.plan.hash);
    }),
    runs,
  );
});

it('gives every layer to exactly one stage, as even as can be', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 200 }), fc.nat(), (layers, pick) => {
      const stages = 1 + (pick % layers);
      const ranges = partitionLayers(layers, stages);
      const sizes = ranges.map(({ firstLayer, endLayer }) => endLayer - firstLayer);
      assert.equal(ranges.length, stages);
      assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1);
      for (const [stage, { firstLayer }] of ranges.entries()) {
        assert.equal(firstLayer, stage === 0 ? 0 : ranges[stage - 1]?.endLayer);
      }
      assert.equal(ranges.at(-1)?.endLayer, layers);
    }),
    runs,
  );
});

const shuffle = <T>(values: readonly T[], order: Iterator<number>): T[] =>
  values
    .map((value) => ({ value, key: Number(order.next().value) }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ value }) => value);
