/**
 * Times the planner: fleets of 1,000, 3,000 and 10,000 nodes in islands of 1 to 8, with 200 deployments, and the
 * new plan when a node that is used is lost. Medians of processor time, all threads of the runtime included; beside
 * them microseconds for each n log2 n.
 *   node scripts/run.mjs scripts/bench-planner.ts
 *   node scripts/run.mjs scripts/bench-planner.ts --rounds 9 --nodes 1000
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { seededRandom } from '../src/base/random.ts';
import type { Random } from '../src/base/random.ts';
import { loadCatalogue } from '../src/catalogue/load-catalogue.ts';
import { profileOf } from '../src/catalogue/profile.ts';
import { planFleet } from '../src/planner/fleet/plan-fleet.ts';
import type { FleetDeployment, FleetInput } from '../src/planner/fleet/plan-fleet.ts';
import type { PlanNode } from '../src/planner/types.ts';
import type { ModelDeploymentSpec } from '../src/resources/types.ts';
import { GiB, node, spec } from '../test/planner/builders.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    nodes: { type: 'string', multiple: true, default: ['1000', '3000', '10000'] },
    deployments: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
  },
});
const rounds = Number(values.rounds);
const catalogue = loadCatalogue();

const nodeSpec = node('any').spec;

const machines = [
  { hardwareModel: 'Mac16,11', chip: 'M4 Pro', memoryGiB: 64, ports: 3 },
  { hardwareModel: 'Mac16,9', chip: 'M4 Max', memoryGiB: 128, ports: 4 },
  { hardwareModel: 'Mac15,14', chip: 'M3 Ultra', memoryGiB: 256, ports: 5 },
  { hardwareModel: 'Mac15,14', chip: 'M3 Ultra', memoryGiB: 512, ports: 5 },
  { hardwareModel: 'Mac14,14', chip: 'M2 Ultra', memoryGiB: 192, ports: 0 },
  { hardwareModel: 'Mac14,3', chip: 'M2', memoryGiB: 24, ports: 0 },
];

/** Islands of 1 to 8 Macs of one make: full meshes as far as ports go, rings beyond. */
const fleet = (count: number, random: Random): PlanNode[] => {
  const nodes: PlanNode[] = [];
  while (nodes.length < count) {
    const machine = machines[Math.floor(random() * machines.length)] ?? machines[0];
    if (!machine) break;
    const size = Math.min(1 + Math.floor(random() * 8), count - nodes.length);
    const names = Array.from({ length: size }, (_, index) => `mac-${nodes.length + index}`);
    for (const [index, name] of names.entries()) {
      const peers =
        size <= machine.ports + 1
          ? names.filter((peer) => peer !== name)
          : [names[(index + 1) % size] ?? '', names[(index + size - 1) % size] ?? ''];
      nodes.push({
        name,
        labels: {},
        spec: nodeSpec,
        available: true,
        hostID: name,
        hardwareModel: machine.hardwareModel,
        chip: machine.chip,
        osVersion: '26.2',
        cpuCount: 16,
        memoryBytes: machine.memoryGiB * GiB,
        usedMemoryBytes: 0,
        engines: [],
        links: peers.map((peerNodeName) => ({
          peerNodeName,
          type: machine.ports > 0 ? 'Thunderbolt5' : 'Thunderbolt4',
          rdma: machine.ports > 0,
          up: true,
        })),
      });
    }
  }
  return nodes;
};

const configs = ['llama-3.1-70b-4bit', 'nemotron-70b-4bit', 'qwen2.5-coder-32b-4bit', 'sprout'].map(
  (name) => {
    const file = new URL(`../examples/models/${name}/config.json`, import.meta.url);
    return { name, config: JSON.parse(readFileSync(file, 'utf8')) };
  },
);

const quantizations = [undefined, { bits: 8, group_size: 64 }, null];

const objectives = [
  'SustainedThroughput',
  'SingleStream',
  'TimeToFirstToken',
  'Efficiency',
] as const;

const deploymentSpec = (
  objective: ModelDeploymentSpec['objective'],
  contextLength: number,
): ModelDeploymentSpec => spec({ objective, runtime: { ...spec().runtime, contextLength } });

/** Twelve models: each of four families at 4, 8 and 16 bits. */
const deploymentsOf = (count: number, random: Random): FleetDeployment[] => {
  const models = configs.flatMap(({ name, config }) =>
    quantizations.map((quantization) => ({
      name,
      model: profileOf(config, quantization === undefined ? {} : { quantization }),
    })),
  );
  return Array.from({ length: count }, (_, index) => {
    const { name, model } = models[index % models.length] ?? { name: '', model: profileOf({}) };
    const objective = objectives[Math.floor(random() * 4)] ?? 'SustainedThroughput';
    return {
      namespace: 'default',
      name: `${name}-${String(index).padStart(4, '0')}`,
      spec: deploymentSpec(objective, 4096 * (1 + Math.floor(random() * 4))),
      model,
    };
  });
};

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;

const timed = <T>(run: () => T): [T, number] => {
  const before = process.cpuUsage();
  const result = run();
  const { user, system } = process.cpuUsage(before);
  return [result, (user + system) / 1000];
};

const ms = (value: number): string => `${value.toFixed(0)} ms`;

/** What must not grow with the fleet if time grows no faster than n log n. */
const perNLogN = (valueMs: number, count: number): string =>
  `${((valueMs * 1000) / (count * Math.log2(count))).toFixed(1)} us`;

const headings = [
  'NODES',
  'DEPLOYMENTS',
  'PLANNED',
  'FULL PLAN',
  'FIRST RUN',
  'PER N LOG N',
  'ONE NODE LOST',
  'PER N LOG N',
];
const printRow = (cells: readonly string[]): void => {
  const padded = cells.map((cell, column) => cell.padStart(headings[column]?.length ?? 0));
  process.stdout.write(`${padded.join('  ')}\n`);
};

printRow(headings);
for (const count of values.nodes.map(Number)) {
  const full: number[] = [];
  const again: number[] = [];
  let planned = 0;
  for (let round = 0; round < rounds; round += 1) {
    const random = seededRandom(Number(values.seed));
    const input: FleetInput = {
      nodes: fleet(count, random),
      deployments: deploymentsOf(Number(values.deployments), random),
      catalogue,
    };
    const [plans, fullMs] = timed(() => planFleet(input));
    full.push(fullMs);
    const groups = plans.flatMap(({ results }) => results);
    planned = groups.filter(({ ok }) => ok).length;
    const used = groups.flatMap((result) => (result.ok ? result.plan.ranks : []));
    const lost = used[Math.floor(used.length / 2)]?.nodeName;
    const nodes = input.nodes.map((node) =>
      node.name === lost ? { ...node, available: false } : node,
    );
    again.push(timed(() => planFleet({ ...input, nodes, current: plans }))[1]);
  }
  const [fullMs, againMs] = [median(full), median(again)];
  printRow([
    String(count),
    values.deployments,
    String(planned),
    ms(fullMs),
    ms(full[0] ?? 0),
    perNLogN(fullMs, count),
    ms(againMs),
    perNLogN(againMs, count),
  ]);
}
