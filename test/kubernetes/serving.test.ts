import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';
import { Cluster } from './support/cluster.ts';
import { installCRDs, kubectl, kubectlOk } from './support/kubectl.ts';

let server: ApiServer;
let cluster: Cluster;
before(async () => {
  server = await startApiServer();
  await installCRDs(server);
  cluster = await Cluster.create(server);
  await cluster.startOperator();
  await kubectlOk(server, ['apply', '-f', 'examples/quickstart']);
});
after(async () => {
  await cluster.stop();
  await server.stop();
});

const waitReady = ['wait', '--for=condition=Ready', 'mdep/sprout'];

test('without a node, kubectl wait goes on waiting and a prompt gets no answer', async () => {
  await eventually('the operator has looked at it', async () => {
    const { metadata, status } = await cluster.deployment('sprout');
    return status.observedGeneration === metadata.generation;
  });
  assert.equal((await kubectl(server, [...waitReady, '--timeout=2s'])).code, 1);
  assert.notEqual((await cluster.complete('sprout')).status, 200);
});

test('once two nodes are there, kubectl wait returns and the next prompt is answered', async () => {
  for (const name of ['mini-1', 'mini-2']) cluster.startNode(name);
  await kubectlOk(server, [...waitReady, '--timeout=110s']);
  const { status, text } = await cluster.complete('sprout');
  assert.equal(status, 200, text);
  assert.match(await kubectlOk(server, ['get', 'mdep']), /^sprout .* True +1 +TCP/m);
  assert.match(await kubectlOk(server, ['get', 'cnode', 'mini-1']), /^mini-1 +True/m);
});

test('a rank that dies takes Ready with it, and Ready comes back with the answers', async () => {
  const [pid] = await cluster.pids();
  assert.ok(pid !== undefined);
  process.kill(pid, 'SIGKILL');
  await kubectlOk(server, ['wait', '--for=condition=Ready=False', 'mdep/sprout', '--timeout=60s']);
  await kubectlOk(server, [...waitReady, '--timeout=110s']);
  assert.equal((await cluster.complete('sprout')).status, 200);
});

test('a changed spec is Ready when it is the changed spec that answers', async () => {
  const change = { spec: { model: { servedNames: ['sprout', 'shoot'] } } };
  await kubectlOk(server, ['patch', 'mdep/sprout', '--type=merge', '-p', JSON.stringify(change)]);
  await kubectlOk(server, [...waitReady, '--timeout=110s']);
  const { status, text } = await cluster.complete('shoot');
  assert.equal(status, 200, text);
});

test('the user’s spec is the user’s: nobody else has a field of it', async () => {
  const { metadata } = (await cluster.deployment('sprout')) as unknown as {
    metadata: { managedFields: { manager: string; fieldsV1: Record<string, unknown> }[] };
  };
  const writers = metadata.managedFields.filter(({ fieldsV1 }) => 'f:spec' in fieldsV1);
  assert.deepEqual(
    writers.map(({ manager }) => manager.replace(/^kubectl.*/, 'kubectl')),
    writers.map(() => 'kubectl'),
  );
});

test('delete returns when the ranks are gone', async () => {
  const pids = await cluster.pids();
  assert.equal(pids.length, 2);
  await kubectlOk(server, ['delete', 'mdep/sprout', '--timeout=110s']);
  assert.deepEqual(await cluster.pids(), []);
  for (const pid of pids) assert.throws(() => process.kill(pid, 0), /ESRCH/);
});
