import assert from 'node:assert/strict';
import { test } from 'node:test';
import { builtInEngine } from '../../src/catalogue/engine-capabilities.ts';
import { loadCatalogue } from '../../src/catalogue/load-catalogue.ts';
import type { ControllerOptions } from '../../src/controller/controller.ts';
import { plan } from '../../src/planner/plan.ts';
import type { ModelDeploymentSpec } from '../../src/resources/types.ts';
import { builtInOnly, spec } from '../planner/builders.ts';
import { harness } from './harness.ts';
import type { Harness } from './harness.ts';
import { crashNodeOf, groups, killGroup } from './rolling.ts';

type Plan = ControllerOptions['plan'];

const nodes = ['a', 'b', 'c', 'd'];

/** Of the next release: every rank on another node, more threads, more memory, and another context length. */
const nextPlanner: Plan = (request) => {
  const { current: _, siblings: __, ...rest } = request;
  const result = plan({ ...rest, catalogue: builtInOnly });
  if (!result.ok) return result;
  const there = rest.nodes.flatMap(({ name, available }) => (available ? [name] : []));
  const ranks = result.plan.ranks.map((rank) => ({
    ...rank,
    nodeName: there[(there.indexOf(rank.nodeName) + 1) % there.length] ?? '',
    threads: rank.threads + 1,
    memory: { ...rank.memory, totalBytes: rank.memory.totalBytes + 1 },
  }));
  return { ...result, plan: { ...result.plan, hash: 'next', contextLength: 512, ranks } };
};

/** Of the next release: it knows how fast everything is, and would cut otherwise. */
const knowingPlanner: Plan = (request) => {
  const full = loadCatalogue();
  return plan({ ...request, catalogue: { ...full, engines: [builtInEngine] } });
};

const withField = <T extends Pick<ModelDeploymentSpec, 'runtime'>>(fields: T): T => ({
  ...fields,
  runtime: { ...fields.runtime, speculation: 'Off' },
});

/** What both stores do once a release adds a field with a default: to specs and to what was recorded of them. */
const addField = ({ state }: Harness): void => {
  for (const deployment of state.deployments()) {
    const { name } = deployment.metadata;
    state.put(
      { kind: 'ModelDeployment', namespace: 'default', name },
      { ...deployment, spec: withField(deployment.spec) },
    );
  }
  for (const [name, revision] of state.revisionsByName) {
    state.revisionsByName.set(name, { ...revision, data: withField(revision.data) });
  }
};

const specs: [title: string, fields: Partial<ModelDeploymentSpec>][] = [
  ['groups of one rank', { replicas: 2, parallelism: { strategy: 'Single' } }],
  ['groups of two ranks', { replicas: 2, parallelism: { strategy: 'Tensor', tensorSize: 2 } }],
  ['a cut that the planner chose', { parallelism: { strategy: 'Auto' } }],
];

const documentsOf = ({ fleet }: Harness) =>
  fleet.documents().map(({ nodeName, version, ranks }) => ({ nodeName, version, ranks }));

for (const [title, fields] of specs) {
  for (const [what, next] of [
    ['places all elsewhere', nextPlanner],
    ['predicts speeds', knowingPlanner],
  ] as const) {
    test(`${title}: an operator whose planner ${what}, and whose kinds have a field more, changes nothing`, async () => {
      const world = harness(nodes);
      world.state.applyDeployment('m', spec(fields));
      await world.startControlPlane();
      await world.runUntil('ready', () => world.isReady('m'));
      await world.run(5);
      const [before, status] = [documentsOf(world), world.deployment('m').status];
      addField(world);
      await world.startControlPlane({ plan: next });
      const writes = world.state.statusWrites;
      await world.run(120);
      assert.deepEqual(documentsOf(world), before);
      assert.deepEqual(world.deployment('m').status, status);
      assert.equal(world.state.statusWrites, writes);
      assert.equal(world.state.revisions().length, 1);
    });
  }
}

test('after an upgrade a group that fails starts again as it was planned, one without its node as the new planner says', async () => {
  const world = harness(nodes);
  world.state.applyDeployment('m', spec({ replicas: 2, parallelism: { strategy: 'Single' } }));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  const places = () =>
    groups(world).map(({ members, contextLength }) => [members[0]?.nodeName, contextLength]);
  const before = places();
  await world.startControlPlane({ plan: nextPlanner });
  killGroup(world, 0);
  await world.runUntil('down', () => !world.isReady('m'));
  await world.runUntil('ready again', () => world.isReady('m'));
  assert.deepEqual(places(), before);
  crashNodeOf(world, 1);
  await world.runUntil('lost', () => !world.isReady('m'));
  await world.runUntil('ready elsewhere', () => world.isReady('m'));
  assert.deepEqual(places()[0], before[0]);
  assert.equal(places()[1]?.[1], 512);
});
