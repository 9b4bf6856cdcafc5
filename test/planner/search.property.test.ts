import assert from 'node:assert/strict';
import { it } from 'node:test';
import * as fc from '../support/fast-check.ts';
import { reserveBytesOf } from '../../src/planner/capacity.ts';
import { planFleet } from '../../src/planner/fleet/plan-fleet.ts';
import type { FleetDeployment } from '../../src/planner/fleet/plan-fleet.ts';
import { scoreOf } from '../../src/planner/objective.ts';
import { plan } from '../../src/planner/plan.ts';
import type { Plan, PlanNode, PlanResult } from '../../src/planner/types.ts';
import { resolveMachine } from '../../src/catalogue/resolve-machine.ts';
import { GiB } from './builders.ts';
import { cabled, catalogue, macDeployments, macFleets, oneMac } from './fleets.ts';

const planOne = (deployment: FleetDeployment, nodes: readonly PlanNode[]): PlanResult =>
  plan({ deployment, model: deployment.model, nodes, catalogue });

const names = ({ ranks }: Plan): string[] => ranks.map(({ nodeName }) => nodeName);

it('never plans over what a node has, in a whole fleet of deployments', () => {
  fc.assert(
    fc.property(macFleets(8), fc.array(macDeployments, { maxLength: 5 }), (nodes, list) => {
      const deployments = list.map((each, index) => ({ ...each, name: `m${index}` }));
      const taken = new Map<string, number>();
      for (const { results } of planFleet({ deployments, nodes, catalogue })) {
        for (const result of results) {
          for (const { nodeName, memory } of result.ok ? result.plan.ranks : []) {
            taken.set(nodeName, (taken.get(nodeName) ?? 0) + memory.totalBytes);
          }
        }
      }
      for (const each of nodes) {
        assert.ok((taken.get(each.name) ?? 0) <= each.memoryBytes - reserveBytesOf(each));
      }
    }),
    { numRuns: 200 },
  );
});

it('leaves a fifth of what the GPU may wire with the limit that it names, unless the cut was asked for', () => {
  fc.assert(
    fc.property(macFleets(8), macDeployments, (nodes, deployment) => {
      const result = planOne(deployment, nodes);
      if (!result.ok || deployment.spec.parallelism.strategy !== 'Auto') return;
      if (result.plan.engine === 'BuiltIn') return;
      for (const { nodeName, memory, wiredLimitMiB } of result.plan.ranks) {
        const each = nodes.find(({ name }) => name === nodeName);
        const shares = each && resolveMachine(catalogue, each)?.machine?.wiredShare;
        assert.ok(each && shares);
        const share = each.memoryBytes > 32 * GiB ? shares.above32GiB : shares.upTo32GiB;
        const limitBytes =
          wiredLimitMiB === undefined ? each.memoryBytes * share : wiredLimitMiB * 2 ** 20;
        assert.ok(memory.totalBytes <= 0.8 * limitBytes + 2 ** 20);
        assert.ok(memory.totalBytes <= 0.8 * (each.memoryBytes - reserveBytesOf(each)));
      }
    }),
    { numRuns: 100 },
  );
});

it('always cuts as the model and the engine allow, over RDMA only where both ends have it', () => {
  fc.assert(
    fc.property(macFleets(8), macDeployments, (nodes, deployment) => {
      const result = planOne(deployment, nodes);
      if (!result.ok) return;
      const { ranks, tensorSize, pipelineSize, engine: name, interconnectMode } = result.plan;
      const { model } = deployment;
      const engine = catalogue.engines.find((each) => each.name === name);
      assert.equal(ranks.length, tensorSize * pipelineSize);
      assert.equal(new Set(names(result.plan)).size, ranks.length);
      for (const { count } of model.divisors) assert.equal(count % tensorSize, 0);
      if (tensorSize > 1) assert.ok(engine?.tensor);
      const sizes = ranks.map(({ firstLayer, endLayer }) => endLayer - firstLayer);
      if (!engine?.pipeline?.uneven) assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1);
      const stages = ranks.filter(({ tensorRank }) => tensorRank === 0);
      const cuts = [0, ...stages.map(({ endLayer }) => endLayer)];
      assert.deepEqual(
        stages.map(({ firstLayer }) => firstLayer),
        cuts.slice(0, -1),
      );
      assert.equal(cuts.at(-1), model.layers.length);
      if (interconnectMode !== 'RDMA') return;
      for (const { rank, nodeName } of ranks) {
        const peers = ranks.slice(rank + 1, rank - (rank % tensorSize) + tensorSize);
        const own = nodes.find((each) => each.name === nodeName);
        assert.notEqual(own?.chip, 'M2 Ultra');
        for (const peer of peers) {
          assert.ok(own?.links.some(({ peerNodeName }) => peerNodeName === peer.nodeName));
        }
      }
    }),
    { numRuns: 200 },
  );
});

it('gives the same plan for the same fleet in any order', () => {
  fc.assert(
    fc.property(macFleets(8), macDeployments, fc.nat(), (nodes, deployment, turn) => {
      const turned = [...nodes.slice(turn % nodes.length), ...nodes.slice(0, turn % nodes.length)];
      const mixed = turned.map((each) => ({ ...each, links: each.links.toReversed() }));
      assert.deepEqual(planOne(deployment, mixed.toReversed()), planOne(deployment, nodes));
    }),
    { numRuns: 150 },
  );
});

const scoreOfPlan = (result: PlanResult, { spec }: FleetDeployment): number =>
  result.ok && result.plan.predicted
    ? scoreOf(spec.objective, result.plan.predicted, {
        nodes: result.plan.ranks.length,
        mode: result.plan.interconnectMode,
      })
    : 0;

/** Fails when the best plan for all of these nodes is worse than the best without the last of them. */
const assertNeverWorse = (all: readonly PlanNode[], deployment: FleetDeployment): void => {
  const last = `n${all.length - 1}`;
  const fewer = all.slice(0, -1).map((each) => ({
    ...each,
    links: each.links.filter(({ peerNodeName }) => peerNodeName !== last),
  }));
  const before = planOne(deployment, fewer);
  const after = planOne(deployment, all);
  assert.ok(after.ok || !before.ok);
  // A plan that was degraded is not compared with the one that was asked for.
  if (before.ok && before.plan.degradedBy.length > 0) return;
  const [least, found] = [scoreOfPlan(before, deployment), scoreOfPlan(after, deployment)];
  assert.ok(found >= least * (1 - 1e-9), `${least} fell to ${found}`);
};

/** Up to `most` Macs of up to three sorts. */
const macLists = (most: number) =>
  fc
    .array(oneMac, { minLength: 1, maxLength: 3 })
    .chain((sorts) => fc.array(fc.constantFrom(...sorts), { minLength: 2, maxLength: most }));

it('is never worse off for a node more, by what the objective counts', () => {
  const pairs = fc.array(fc.tuple(fc.nat(8), fc.nat(8)), { maxLength: 30 });
  fc.assert(
    fc.property(macLists(7), pairs, macDeployments, (list, cables, deployment) => {
      assertNeverWorse(cabled(list, cables), deployment);
    }),
    { numRuns: 250 },
  );
});

it('is never worse off for a node more where it is cut into tensor groups as stages', () => {
  const pairs = fc.array(fc.tuple(fc.nat(8), fc.nat(8)), { maxLength: 40 });
  const strategy = 'Hybrid' as const;
  const parallelisms = fc.constantFrom(
    { strategy },
    { strategy, tensorSize: 2 },
    { strategy, tensorSize: 2, pipelineSize: 2 },
  );
  fc.assert(
    fc.property(
      macLists(9),
      pairs,
      macDeployments,
      parallelisms,
      (list, cables, deployment, parallelism) => {
        const spec = { ...deployment.spec, parallelism };
        assertNeverWorse(cabled(list, cables), { ...deployment, spec });
      },
    ),
    { numRuns: 250 },
  );
});

it('moves nobody when a node is lost that a deployment does not use', () => {
  fc.assert(
    fc.property(
      macFleets(8),
      fc.array(macDeployments, { minLength: 1, maxLength: 4 }),
      fc.nat(),
      (nodes, list, pick) => {
        const deployments = list.map((each, index) => ({ ...each, name: `m${index}` }));
        const current = planFleet({ deployments, nodes, catalogue });
        const lost = `n${pick % nodes.length}`;
        const left = nodes.map((each) => ({ ...each, available: each.name !== lost }));
        const after = planFleet({ deployments, nodes: left, catalogue, current });
        for (const [index, { results }] of current.entries()) {
          const [result] = results;
          if (!result?.ok || result.plan.degradedBy.length > 0) continue;
          if (names(result.plan).includes(lost)) continue;
          assert.equal(after[index]?.results[0], result);
        }
      },
    ),
    { numRuns: 100 },
  );
});

it('stays where it runs while nothing changes', () => {
  fc.assert(
    fc.property(macFleets(8), macDeployments, (nodes, deployment) => {
      const result = planOne(deployment, nodes);
      if (!result.ok || result.plan.degradedBy.length > 0) return;
      const { tensorSize, pipelineSize, engine } = result.plan;
      const current = { tensorSize, pipelineSize, engine, nodeNames: names(result.plan) };
      const again = plan({ deployment, model: deployment.model, nodes, catalogue, current });
      assert.ok(again.ok);
      assert.deepEqual(names(again.plan), names(result.plan));
    }),
    { numRuns: 100 },
  );
});
