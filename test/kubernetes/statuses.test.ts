import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { verdictOf } from '../../src/cli/status/verdict.ts';
import type {
  ClusterNode,
  ModelDeployment,
  ModelDeploymentRevision,
  ModelDeploymentSpec,
} from '../../src/resources/types.ts';
import { harness, nodeSpec } from '../controller/harness.ts';
import type { Harness } from '../controller/harness.ts';
import { spec } from '../planner/builders.ts';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';
import { kstatus } from './support/kstatus.ts';
import { installCRDs } from './support/kubectl.ts';

const seeds = [1, 2, 3, 4];
const stepsPerSeed = 120;
const nodeNames = ['a', 'b', 'c'];

type Written = ModelDeployment | ClusterNode;

let server: ApiServer;
let written: Written[];
const revisions = new Map<string, ModelDeploymentRevision>();
before(async () => {
  server = await startApiServer();
  await installCRDs(server);
  const byContent = new Map<string, Written>();
  for (const seed of seeds) {
    for (const object of await simulate(seed)) byContent.set(contentOf(object), object);
  }
  written = [...byContent.values()];
});
after(async () => server.stop());

/** All that decides what clients make of it; times and counts are many and decide nothing. */
const contentOf = ({ kind, metadata, status }: Written): string => {
  const isCurrent = status.observedGeneration === metadata.generation;
  const text = JSON.stringify([kind, metadata.deletionTimestamp !== undefined, isCurrent, status]);
  return text.replaceAll(/\d+/g, '0');
};

const pick = <T>(world: Harness, list: readonly T[]): T =>
  list[Math.floor(world.random() * list.length)] as T;

const someSpec = (world: Harness): ModelDeploymentSpec =>
  spec({
    ...pick(world, [
      { parallelism: { strategy: 'Tensor' as const, tensorSize: 2 } },
      { parallelism: { strategy: 'Tensor' as const, tensorSize: 4 } },
      { parallelism: { strategy: 'Pipeline' as const, pipelineSize: 2 } },
      { parallelism: { strategy: 'Single' as const } },
      // Refused: this release has no such thing.
      { parallelism: { strategy: 'Single' as const, expertSize: 2 } },
    ]),
    replicas: pick(world, [0, 1, 1, 2, 5]),
    paused: world.random() < 0.15,
    minReadySeconds: pick(world, [0, 5]),
    restartPolicy: { maxGroupRestarts: pick(world, [1, 50]), backoffSeconds: 1 },
  });

/** Every object with a status that a control plane wrote while things went wrong. */
const simulate = async (seed: number): Promise<Written[]> => {
  const world = harness(nodeNames, seed);
  const objects: Written[] = [];
  const disturbances: (() => unknown)[] = [
    () => world.state.applyDeployment(pick(world, ['m', 'n']), someSpec(world)),
    () => pick(world, world.fleet.nodes).crash(),
    () => {
      for (const node of world.fleet.nodes) if (!node.isUp) node.boot();
    },
    () => {
      const node = pick(world, world.fleet.nodes);
      const rank = [...node.ranks.keys()][0];
      if (rank !== undefined) node.kill(rank);
    },
    () => {
      const unschedulable = world.random() < 0.4;
      const taints = [{ key: 'maintenance', effect: 'NoExecute' as const }];
      const change = world.random() < 0.3 ? { unschedulable, taints } : { unschedulable };
      world.state.applyNode(pick(world, nodeNames), nodeSpec(change));
    },
    () => world.state.delete({ kind: 'ModelDeployment', namespace: 'default', name: 'm' }),
    () => world.startControlPlane(),
  ];
  await world.startControlPlane();
  world.state.applyDeployment('m', someSpec(world));
  for (let step = 0; step < stepsPerSeed; step += 1) {
    if (world.random() < 0.15) await pick(world, disturbances)();
    await world.run(world.random() < 0.1 ? 15 : 1);
    objects.push(...world.state.deployments(), ...world.state.nodes());
    for (const revision of world.state.revisions()) {
      revisions.set(revision.metadata.name, revision);
    }
  }
  return objects;
};

test('the server takes every status that a control plane writes, and gives it back as it was', async () => {
  const created = new Set<string>();
  for (const { kind, metadata, spec: wanted, status } of written) {
    const path =
      kind === 'ClusterNode'
        ? '/apis/espalier.dev/v1alpha1/clusternodes'
        : '/apis/espalier.dev/v1alpha1/namespaces/default/modeldeployments';
    const { name } = metadata;
    const object = { apiVersion: 'espalier.dev/v1alpha1', kind, metadata: { name }, spec: wanted };
    if (!created.has(`${kind}/${name}`)) {
      const { status: code, body } = await server.request('POST', path, object);
      assert.equal(code, 201, JSON.stringify(body));
      created.add(`${kind}/${name}`);
    }
    const { status: code, body } = await server.request(
      'PATCH',
      `${path}/${name}/status?dryRun=All&fieldValidation=Strict&fieldManager=test&force=true`,
      { ...object, spec: undefined, status },
      { contentType: 'application/apply-patch+yaml' },
    );
    assert.equal(code, 200, `${JSON.stringify(body)}\n${JSON.stringify(status)}`);
    assert.deepEqual((body as Written).status, JSON.parse(JSON.stringify(status)));
  }
  assert.ok(written.length > 60, `only ${written.length} statuses`);
});

test('the server takes every revision that a control plane writes; its snapshot cannot change after that', async () => {
  const path = '/apis/espalier.dev/v1alpha1/namespaces/default/modeldeploymentrevisions';
  for (const revision of revisions.values()) {
    const { name, labels } = revision.metadata;
    const object = { ...revision, metadata: { name, labels } };
    const created = await server.request('POST', `${path}?fieldValidation=Strict`, object);
    assert.equal(created.status, 201, JSON.stringify(created.body));
    const { hash, data } = created.body as ModelDeploymentRevision;
    assert.deepEqual({ hash, data }, { hash: revision.hash, data: revision.data });
    const patch = async (change: object): Promise<number> => {
      const options = { contentType: 'application/merge-patch+json' };
      return (await server.request('PATCH', `${path}/${name}`, change, options)).status;
    };
    assert.equal(await patch({ hash: 'ffff' }), 422);
    assert.equal(await patch({ data: { objective: 'Efficiency' } }), 422);
    // Taken up again: the one thing that changes.
    assert.equal(await patch({ revision: 1000 }), 200);
  }
  assert.ok(revisions.size > 3, `only ${revisions.size} revisions`);
});

test('kstatus and `espalier status` never disagree on a status that a control plane writes', async () => {
  const deployments = written.filter((object) => object.kind === 'ModelDeployment');
  const verdicts = await kstatus(deployments);
  const seen = new Set<string>();
  for (const [index, deployment] of deployments.entries()) {
    const theirs = verdicts[index];
    const ours = verdictOf(deployment);
    const expected =
      ours.reason === 'Terminating'
        ? 'Terminating'
        : { Ready: 'Current', InProgress: 'InProgress', Failed: 'Failed' }[ours.state];
    assert.equal(theirs?.status, expected, JSON.stringify([theirs, ours, deployment.status]));
    seen.add(expected);
  }
  assert.deepEqual([...seen].toSorted(), ['Current', 'Failed', 'InProgress', 'Terminating']);
});
