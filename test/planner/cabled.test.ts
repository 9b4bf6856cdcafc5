import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { plan } from '../../src/planner/plan.ts';
import type { Plan, PlanNode } from '../../src/planner/types.ts';
import { GiB, node, profile, spec } from './builders.ts';
import { catalogue } from './fleets.ts';

/** Mac Studios M2 Ultra, which have no RDMA, joined by Thunderbolt 4 between these, and by 10 Gb/s Ethernet. */
const studios = (cables: readonly string[]): PlanNode[] =>
  ['a', 'b', 'c', 'd'].map((name) =>
    node(name, {
      hardwareModel: 'Mac14,14',
      chip: 'M2 Ultra',
      memoryBytes: 192 * GiB,
      engines: [],
      links: cables
        .filter((cable) => cable.includes(name))
        .map((cable) => ({
          peerNodeName: cable.replace(name, ''),
          type: 'Thunderbolt4',
          rdma: false,
          up: true,
        })),
    }),
  );

const planned = (
  cables: readonly string[],
  parallelism: { strategy: 'Tensor' | 'Pipeline'; tensorSize?: number; pipelineSize?: number },
): Plan => {
  const deployment = { namespace: 'default', name: 'm', spec: spec({ parallelism }) };
  const result = plan({ deployment, model: profile(40), nodes: studios(cables), catalogue });
  assert.ok(result.ok);
  return result.plan;
};

const tensor = { strategy: 'Tensor', tensorSize: 4 } as const;
const pipeline = { strategy: 'Pipeline', pipelineSize: 4 } as const;
const mesh = ['ab', 'ac', 'ad', 'bc', 'bd', 'cd'];
const ring = ['ac', 'cb', 'bd', 'da'];
const chain = ['ac', 'cb', 'bd'];

describe('packets over Thunderbolt', () => {
  it('pass around a ring of cables at the price of a cable, from neighbour to neighbour', () => {
    const around = planned(ring, tensor);
    const names = around.ranks.map(({ nodeName }) => nodeName);
    for (const [at, name] of names.entries()) {
      const next = names[(at + 1) % names.length] ?? '';
      assert.ok(ring.includes(name + next) || ring.includes(next + name), names.join());
    }
    assert.equal(
      around.predicted?.allReduceMicroseconds,
      planned(mesh, tensor).predicted?.allReduceMicroseconds,
    );
  });

  it('find the ring among cables that do not close', () => {
    const open = ['ab', 'bc', 'cd', 'da', 'ac'];
    assert.equal(
      planned(open, tensor).predicted?.allReduceMicroseconds,
      planned(mesh, tensor).predicted?.allReduceMicroseconds,
    );
  });

  it('take the network where a chain of cables does not close', () => {
    assert.equal(
      planned(chain, tensor).predicted?.allReduceMicroseconds,
      planned([], tensor).predicted?.allReduceMicroseconds,
    );
  });

  it('pass along a chain from stage to stage at the price of a cable', () => {
    const along = planned(chain, pipeline);
    const names = along.ranks.map(({ nodeName }) => nodeName).join('');
    assert.ok(['acbd', 'dbca'].includes(names), names);
    const exchangeMs = (cables: readonly string[]) =>
      planned(cables, pipeline).predicted?.breakdown.exchangeMs ?? 0;
    assert.equal(along.predicted?.breakdown.exchangeMs, exchangeMs(mesh));
    assert.ok(exchangeMs(mesh) < exchangeMs([]));
  });
});
