import assert from 'node:assert/strict';
import { it } from 'node:test';
import * as fc from '../support/fast-check.ts';
import { reserveBytesOf } from '../../src/planner/capacity.ts';
import { planFleet } from '../../src/planner/fleet/plan-fleet.ts';
import type { FleetDeployment, FleetPlan } from '../../src/planner/fleet/plan-fleet.ts';
import { catalogue, macDeployments, macFleets } from './fleets.ts';

const replicas = fc.integer({ min: 0, max: 3 });

/** Deployments of a few priorities, on fleets that are often too small for all. */
const ranked = (priorities: fc.Arbitrary<number>) =>
  fc
    .array(fc.tuple(macDeployments, priorities, replicas), { minLength: 1, maxLength: 5 })
    .map((list) =>
      list.map(([each, priority, count], index): FleetDeployment => ({
        ...each,
        name: `m${index}`,
        spec: { ...each.spec, priority, replicas: count },
      })),
    );
const priorities = fc.constantFrom(-1000, 0, 0, 1, 1000);

const resultsOf = (plans: readonly FleetPlan[]) =>
  plans.map(({ name, results }) => ({ name, results }));

it('plans a higher priority as if lower ones did not exist', () => {
  fc.assert(
    fc.property(macFleets(6), ranked(priorities), (nodes, deployments) => {
      const all = resultsOf(planFleet({ deployments, nodes, catalogue }));
      for (const least of new Set(deployments.map(({ spec }) => spec.priority))) {
        const higher = deployments.filter(({ spec }) => spec.priority >= least);
        const names = new Set(higher.map(({ name }) => name));
        assert.deepEqual(
          resultsOf(planFleet({ deployments: higher, nodes, catalogue })),
          all.filter(({ name }) => names.has(name)),
        );
      }
    }),
    { numRuns: 100 },
  );
});

it('plans the same in whatever order deployments and nodes are given', () => {
  fc.assert(
    fc.property(macFleets(6), ranked(priorities), (nodes, deployments) => {
      assert.deepEqual(
        resultsOf(
          planFleet({
            deployments: deployments.toReversed(),
            nodes: nodes.toReversed(),
            catalogue,
          }),
        ),
        resultsOf(planFleet({ deployments, nodes, catalogue })),
      );
    }),
    { numRuns: 60 },
  );
});

it('plans equal priorities as if there were none', () => {
  fc.assert(
    fc.property(
      macFleets(6),
      ranked(fc.constant(0)),
      fc.constantFrom(-1000, 7, 1000),
      (nodes, deployments, priority) => {
        const raised = deployments.map((each) => ({ ...each, spec: { ...each.spec, priority } }));
        const said = JSON.stringify(
          resultsOf(planFleet({ deployments: raised, nodes, catalogue })),
        );
        assert.deepEqual(
          JSON.parse(said.replaceAll(` (priority ${priority})`, '')),
          JSON.parse(JSON.stringify(resultsOf(planFleet({ deployments, nodes, catalogue })))),
        );
      },
    ),
    { numRuns: 60 },
  );
});

it('moves nothing that runs when priorities change', () => {
  fc.assert(
    fc.property(macFleets(6), ranked(priorities), (nodes, deployments) => {
      const current = planFleet({ deployments, nodes, catalogue });
      const changed = deployments.map((each, index) => ({
        ...each,
        spec: { ...each.spec, priority: 100 - index },
      }));
      const after = planFleet({ deployments: changed, nodes, catalogue, current });
      for (const [index, { spec, results }] of current.entries()) {
        for (const [group, result] of results.entries()) {
          if (spec.replicas === 0 || !result.ok || result.plan.degradedBy.length > 0) continue;
          assert.equal(after[index]?.results[group], result);
        }
      }
    }),
    { numRuns: 60 },
  );
});

it('takes a place only from lower priorities, and no memory twice', () => {
  const preemptionPolicy = 'PreemptLowerPriority' as const;
  fc.assert(
    fc.property(macFleets(5), ranked(priorities), (nodes, [last, ...others]) => {
      assert.ok(last);
      const current = planFleet({ deployments: others, nodes, catalogue });
      const asking = { ...last, spec: { ...last.spec, preemptionPolicy } };
      const plans = planFleet({ deployments: [...others, asking], nodes, catalogue, current });
      for (const { name, spec, results } of current) {
        if (spec.priority < asking.spec.priority) continue;
        const after = plans.find((each) => each.name === name);
        for (const [group, result] of results.entries()) {
          if (spec.replicas === 0 || !result.ok || result.plan.degradedBy.length > 0) continue;
          assert.equal(after?.results[group], result);
        }
      }
      for (const each of nodes) {
        const taken = plans
          .filter(({ spec }) => spec.replicas > 0)
          .flatMap(({ results }) =>
            results.flatMap((result) => (result.ok ? result.plan.ranks : [])),
          )
          .filter(({ nodeName }) => nodeName === each.name)
          .reduce((sum, { memory }) => sum + memory.totalBytes, 0);
        assert.ok(taken <= each.memoryBytes - reserveBytesOf(each));
      }
    }),
    { numRuns: 100 },
  );
});
