import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fetchReports } from '../../src/cli/reports.ts';
import { eventually } from '../support/eventually.ts';
import { reworded, statusesOf } from '../upgrade/unchanged.ts';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';
import { Cluster } from './support/cluster.ts';
import { checkOut, earlierCommit } from './support/earlier-commit.ts';
import { installCRDs, kubectlOk } from './support/kubectl.ts';

const nodeNames = ['mini-1', 'mini-2', 'mini-3'];
/** Longer than an operator takes from a report to what it writes of it. */
const stillMs = 15_000;
const kinds = 'mdep,cnode,mdrev';

let server: ApiServer;
let cluster: Cluster;
before(async () => {
  server = await startApiServer();
  cluster = await Cluster.create(server);
});
after(async () => {
  await cluster.stop();
  await server.stop();
});

/** Deployments that wait, each for something else, beside the one that serves. */
const others = [
  ['elsewhere', { placement: { nodeSelector: { matchLabels: { room: 'none' } } } }],
  ['gone', { model: { uri: 'file:///nowhere', servedNames: ['gone'] } }],
  ['held', { paused: true }],
  ['none', { replicas: 0 }],
] as const;

const applyAll = async (): Promise<void> => {
  await kubectlOk(server, ['apply', '-f', 'examples/quickstart']);
  for (const [name, fields] of others) {
    const model = { uri: 'file://./examples/models/sprout', servedNames: [name] };
    const object = {
      apiVersion: 'espalier.dev/v1alpha1',
      kind: 'ModelDeployment',
      metadata: { name },
      spec: { model, ...fields },
    };
    await kubectlOk(server, ['apply', '-f', '-'], { input: JSON.stringify(object) });
  }
  const wait = ['wait', '--timeout=110s'];
  await kubectlOk(server, [...wait, '--for=condition=Ready', 'mdep/sprout', 'mdep/none']);
  await kubectlOk(server, [...wait, '--for=condition=Stalled', 'mdep/gone']);
  await kubectlOk(server, [...wait, '--for=condition=Ready', 'cnode', '--all']);
};

interface Written {
  kind: string;
  metadata: { name: string; resourceVersion: string };
  status?: unknown;
}

const written = async (): Promise<Written[]> => {
  const text = await kubectlOk(server, ['get', kinds, '-A', '-o', 'json']);
  return (JSON.parse(text) as { items: Written[] }).items;
};

const versionsOf = (objects: Written[]): string[] =>
  objects.map(({ kind, metadata }) => `${kind} ${metadata.name} ${metadata.resourceVersion}`);

const settled = async (): Promise<Written[]> =>
  eventually(
    'nothing more is written',
    async () => {
      const objects = await written();
      await sleep(2000);
      assert.deepEqual(versionsOf(await written()), versionsOf(objects));
      return objects;
    },
    { timeoutMs: 60_000 },
  );

test('the operator of the commit before left, and this one changes nothing', async (t) => {
  const commit = earlierCommit();
  const earlier = checkOut(commit, server.folder);
  if ('why' in earlier) {
    process.stderr.write(`\n!! upgrade from ${commit} NOT RUN: ${earlier.why}\n`);
    t.skip(earlier.why);
    return;
  }
  await installCRDs(server, `${earlier.folder}/crds`);
  await cluster.startOperator('operator-before', earlier.folder);
  for (const name of nodeNames) cluster.startNode(name);
  await applyAll();
  const before = await settled();
  const pids = await cluster.pids();
  assert.equal(pids.length, 2);
  await cluster.endOperator('operator-before');
  await installCRDs(server);
  await cluster.startOperator('operator-now');
  await eventually('all nodes have reported to the new one', async () => {
    const reports = await fetchReports(cluster.hubUrl);
    assert.deepEqual(reports.map(({ report }) => report.nodeName).toSorted(), nodeNames);
    return true;
  });
  assert.deepEqual(await cluster.pids(), pids);
  // That nothing is written can only be watched.
  await sleep(stillMs);
  const now = await written();
  assert.deepEqual(await cluster.pids(), pids);
  const changed = reworded(statusesOf(before), statusesOf(now));
  if (changed.length === 0) return assert.deepEqual(versionsOf(now), versionsOf(before));
  t.diagnostic(`in other words than ${commit}: ${changed.join(', ')}`);
});
