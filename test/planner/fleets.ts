import { readFileSync } from 'node:fs';
import * as fc from '../support/fast-check.ts';
import { loadCatalogue } from '../../src/catalogue/load-catalogue.ts';
import { profileOf } from '../../src/catalogue/profile.ts';
import { resolveMachine } from '../../src/catalogue/resolve-machine.ts';
import type { FleetDeployment } from '../../src/planner/fleet/plan-fleet.ts';
import type { PlanNode } from '../../src/planner/types.ts';
import { GiB, node, spec } from './builders.ts';

export const catalogue = loadCatalogue();

/** Macs of every sort of port: Thunderbolt 5, 4 and 3. */
const hardware = [
  { hardwareModel: 'Mac16,11', chip: 'M4 Pro', gib: [24, 48, 64] },
  { hardwareModel: 'Mac16,9', chip: 'M4 Max', gib: [36, 128] },
  { hardwareModel: 'Mac15,14', chip: 'M3 Ultra', gib: [96, 256, 512] },
  { hardwareModel: 'Mac14,14', chip: 'M2 Ultra', gib: [64, 192] },
  { hardwareModel: 'Mac14,3', chip: 'M2', gib: [8, 24] },
  { hardwareModel: 'Macmini9,1', chip: 'M1', gib: [8, 16] },
];

const machines = fc
  .constantFrom(...hardware)
  .chain(({ gib, ...rest }) =>
    fc.constantFrom(...gib).map((memory) => ({ ...rest, memoryBytes: memory * GiB })),
  );

const models = ['llama-3.1-70b-4bit', 'qwen2.5-coder-32b-4bit', 'sprout', 'nemotron-70b-4bit'].map(
  (name) => {
    const file = new URL(`../../examples/models/${name}/config.json`, import.meta.url);
    return JSON.parse(readFileSync(file, 'utf8'));
  },
);
const quantizations = [undefined, { bits: 8, group_size: 64 }, null];

/** At 4 bits, 8 bits and 16 bits, each read once. */
const profiles = models.flatMap((config) =>
  quantizations.map((quantization) =>
    profileOf(config, quantization === undefined ? {} : { quantization }),
  ),
);

interface Machine {
  hardwareModel: string;
  chip: string;
  memoryBytes: number;
}

/** A node for each machine, and a cable for each pair that both still have a port for. */
export const cabled = (
  list: readonly Machine[],
  pairs: readonly (readonly [number, number])[],
): PlanNode[] => {
  const nodes = list.map((machine, index) =>
    node(`n${index}`, { ...machine, engines: [], links: [] }),
  );
  for (const [left, right] of pairs) {
    const [a, b] = [nodes[left % nodes.length], nodes[right % nodes.length]];
    if (!a || !b || a === b || a.links.some(({ peerNodeName }) => peerNodeName === b.name))
      continue;
    if (a.links.length >= portsOf(a) || b.links.length >= portsOf(b)) continue;
    a.links.push(cable(b.name));
    b.links.push(cable(a.name));
  }
  return nodes;
};

const cable = (peerNodeName: string) => ({
  peerNodeName,
  type: 'Thunderbolt5',
  rdma: true,
  up: true,
});

const portsOf = (each: PlanNode): number =>
  Math.max(2, resolveMachine(catalogue, each)?.machine?.rdmaPorts ?? 0);

const pairLists = fc.array(fc.tuple(fc.nat(9), fc.nat(9)), { maxLength: 30 });

/** Up to `most` Macs, of up to three sorts. */
export const macFleets = (most: number): fc.Arbitrary<PlanNode[]> =>
  fc
    .tuple(fc.array(machines, { minLength: 1, maxLength: 3 }), pairLists)
    .chain(([sorts, pairs]) =>
      fc
        .array(fc.constantFrom(...sorts), { minLength: 1, maxLength: most })
        .map((list) => cabled(list, pairs)),
    );

export const oneMac: fc.Arbitrary<Machine> = machines;

const parallelisms = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ strategy: 'Auto' as const }) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('Single' as const, 'Hybrid' as const)
      .map((strategy) => ({ strategy })),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(2, 3, 4).map((tensorSize) => ({
      strategy: 'Tensor' as const,
      tensorSize,
    })),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(2, 3).map((pipelineSize) => ({
      strategy: 'Pipeline' as const,
      pipelineSize,
    })),
  },
);

export const macDeployments: fc.Arbitrary<FleetDeployment> = fc
  .record({
    model: fc.constantFrom(...profiles),
    objective: fc.constantFrom(
      'SustainedThroughput' as const,
      'SingleStream' as const,
      'TimeToFirstToken' as const,
      'Efficiency' as const,
    ),
    parallelism: parallelisms,
    mode: fc.constantFrom('Auto' as const, 'RDMA' as const, 'TCP' as const),
    contextLength: fc.constantFrom(2048, 8192),
  })
  .map(({ model, objective, parallelism, mode, contextLength }) => {
    const { runtime, interconnect } = spec();
    return {
      namespace: 'default',
      name: 'm',
      model,
      spec: spec({
        objective,
        parallelism,
        interconnect: { ...interconnect, mode },
        runtime: { ...runtime, contextLength },
      }),
    };
  });
