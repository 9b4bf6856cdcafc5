import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fetchReports } from '../../src/cli/reports.ts';
import { eventually } from '../support/eventually.ts';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';
import { askAllAlong } from './support/ask-all-along.ts';
import { Cluster } from './support/cluster.ts';
import { installCRDs, kubectlOk } from './support/kubectl.ts';

const idleMs = 15_000;
/** A Lease lasts 15 s; whoever cannot renew it gives up before that. */
const takeoverLimitMs = 60_000;

let server: ApiServer;
let cluster: Cluster;
before(async () => {
  server = await startApiServer();
  await installCRDs(server);
  cluster = await Cluster.create(server);
  await cluster.startOperator();
  for (const name of ['mini-1', 'mini-2', 'mini-3']) cluster.startNode(name);
  await kubectlOk(server, ['apply', '-f', 'examples/quickstart']);
  await ready();
  await kubectlOk(server, ['wait', '--for=condition=Ready', 'cnode', '--all', '--timeout=60s']);
});
after(async () => {
  await cluster.stop();
  await server.stop();
});

const ready = async (): Promise<void> => {
  await kubectlOk(server, ['wait', '--for=condition=Ready', 'mdep/sprout', '--timeout=110s']);
};

/** Of every object that the operator writes, but Leases, what changes with each write of it. */
const resourceVersions = async (): Promise<string[]> => {
  const kinds = 'mdep,cnode,mdrev,events.events.k8s.io,secrets';
  const template =
    '{range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\\n"}{end}';
  return (await kubectlOk(server, ['get', kinds, '-A', '-o', `jsonpath=${template}`])).split('\n');
};

/** Events come after the status that they speak of. */
const settled = async (): Promise<string[]> =>
  eventually(
    'nothing more is written',
    async () => {
      const before = await resourceVersions();
      await sleep(2_000);
      assert.deepEqual(await resourceVersions(), before);
      return before;
    },
    { timeoutMs: 60_000 },
  );

const allReported = async (pids: number[]): Promise<void> => {
  await eventually('all nodes have reported to the new leader', async () => {
    assert.deepEqual(await cluster.pids(), pids);
    return true;
  });
};

/** A router that has just started says so, and never that the model is not there. */
const routed = async (): Promise<void> => {
  const statuses = new Set<number>();
  await eventually('the router answers', async () => {
    const { status } = await cluster.complete('sprout');
    statuses.add(status);
    return status === 200;
  });
  statuses.delete(503);
  assert.deepEqual([...statuses], [200]);
};

const endpoint = async (): Promise<string> => {
  const url = (await cluster.deployment('sprout')).status.groups[0]?.endpoint;
  assert.ok(url !== undefined);
  return url;
};

const asText = (statuses: number[]): string =>
  statuses.every((status) => status === 200) ? 'all answered' : statuses.join();

test('while nothing happens the operator writes nothing but Leases', async () => {
  const versions = await settled();
  await sleep(idleMs);
  assert.deepEqual(await resourceVersions(), versions);
});

test('an operator that is killed and started again writes nothing and restarts nothing', async () => {
  const [versions, pids] = [await settled(), await cluster.pids()];
  const was = await cluster.deployment('sprout');
  await cluster.killOperator();
  await cluster.startOperator();
  await allReported(pids);
  await sleep(idleMs);
  assert.deepEqual((await cluster.deployment('sprout')).status, was.status);
  assert.deepEqual(await resourceVersions(), versions);
  assert.deepEqual(await cluster.pids(), pids);
});

test('when the leader is killed the standby takes over, and the ranks do not notice', async () => {
  const pids = await cluster.pids();
  const asking = askAllAlong(await endpoint(), 'sprout');
  await cluster.launchOperator('operator-1');
  await cluster.killOperator('operator-0');
  await eventually('the standby leads', async () => (await cluster.leader()) === 'operator-1', {
    timeoutMs: takeoverLimitMs,
  });
  await cluster.untilLed();
  await routed();
  await ready();
  await allReported(pids);
  assert.equal(asText(await asking.stop()), 'all answered');
});

test('while the API server stays away nobody leads, and ranks and router answer on', async () => {
  const pids = await cluster.pids();
  const ranks = askAllAlong(await endpoint(), 'sprout');
  const clients = askAllAlong(cluster.routerUrl, 'sprout');
  await server.kill('apiserver');
  await eventually(
    'the term is over: the hub is closed',
    async () =>
      fetchReports(cluster.hubUrl).then(
        () => false,
        () => true,
      ),
    { timeoutMs: takeoverLimitMs },
  );
  assert.equal(cluster.operatorExitCode('operator-1'), undefined);
  assert.equal((await cluster.complete('sprout')).status, 200);
  assert.equal(asText(await clients.stop()), 'all answered');
  await server.restart('apiserver');
  const code = await eventually('who led ends', () => cluster.operatorExitCode('operator-1'), {
    timeoutMs: takeoverLimitMs,
  });
  assert.equal(code, 1);
  await cluster.untilLed();
  await ready();
  await allReported(pids);
  assert.equal(asText(await ranks.stop()), 'all answered');
  await routed();
});
