import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../../src/base/random.ts';
import type { Random } from '../../src/base/random.ts';
import { eventually } from '../support/eventually.ts';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';
import { askAllAlong } from './support/ask-all-along.ts';
import { Cluster } from './support/cluster.ts';
import { installCRDs, kubectlOk } from './support/kubectl.ts';

/**
 * Goal: whichever of etcd, the API server and the operator is killed with -9 at whatever moment, the ranks go on
 * serving, what the user said last happens, and no rank runs twice.
 * Method: real processes, seeded moments. SEED=n runs one seed, SEEDS=n more of them.
 */
const seeds = process.env['SEED']
  ? [Number(process.env['SEED'])]
  : Array.from({ length: Number(process.env['SEEDS'] ?? 2) }, (_, index) => index + 1);
const killsPerSeed = 4;
const victims = ['apiserver', 'etcd', 'operator'] as const;
const path = '/apis/espalier.dev/v1alpha1/namespaces/default/modeldeployments/sprout';

let server: ApiServer;
let cluster: Cluster;
before(async () => {
  server = await startApiServer();
  await installCRDs(server);
  cluster = await Cluster.create(server);
  await cluster.startOperator();
  for (const name of ['mini-1', 'mini-2']) cluster.startNode(name);
  await kubectlOk(server, ['apply', '-f', 'examples/quickstart']);
  await kubectlOk(server, ['wait', '--for=condition=Ready', 'mdep/sprout', '--timeout=110s']);
});
after(async () => {
  await cluster.stop();
  await server.stop();
});

const pick = <T>(values: readonly T[], random: Random): T =>
  values[Math.floor(random() * values.length)] as T;

/** As a user does it who tries again until the API server has said yes. */
const scaleTo = async (replicas: number): Promise<void> => {
  await eventually(
    `scaled to ${replicas}`,
    async () => {
      const options = { contentType: 'application/merge-patch+json' };
      const answer = await server.request('PATCH', path, { spec: { replicas } }, options);
      return answer.status === 200;
    },
    { timeoutMs: 60_000, intervalMs: 200 },
  );
};

const killAndRestart = async (victim: (typeof victims)[number], downMs: number): Promise<void> => {
  if (victim === 'operator') {
    await cluster.killOperator();
    await sleep(downMs);
  } else {
    await server.kill(victim);
    await sleep(downMs);
    await server.restart(victim);
  }
  await cluster.startOperator();
};

/** The ranks that run, by what they are, without which start of the group it is. */
const running = async (): Promise<{ rank: string; pid: number }[]> =>
  (await cluster.ranks())
    .filter(({ pid }) => pid !== undefined)
    .map(({ id, pid }) => ({ rank: id.replace(/\/\d+(?=\/\d+$)/, ''), pid: pid ?? 0 }))
    .toSorted((one, other) => one.rank.localeCompare(other.rank));

for (const seed of seeds) {
  test(`seed ${seed}: the ranks serve on, the last word counts, nothing runs twice`, async () => {
    const random = seededRandom(seed);
    const firstGroup = (await running()).filter(({ rank }) => rank.includes('/0/'));
    const endpoint = (await cluster.deployment('sprout')).status.groups[0]?.endpoint;
    assert.ok(endpoint !== undefined && firstGroup.length === 2);
    const asking = askAllAlong(endpoint, 'sprout');
    let replicas = 1;
    for (let kill = 0; kill < killsPerSeed; kill += 1) {
      replicas = pick([1, 2], random);
      const scaling = scaleTo(replicas);
      await sleep(random() * 1_500);
      await killAndRestart(pick(victims, random), random() * 2_000);
      await scaling;
    }
    const ready = ['wait', '--for=condition=Ready', 'mdep/sprout', '--timeout=110s'];
    await kubectlOk(server, ready);
    const expected = ['0/0', '0/1', '1/0', '1/1'].slice(0, 2 * replicas);
    const ranks = await eventually('exactly the ranks that were asked for', async () => {
      const now = await running();
      assert.deepEqual(
        now.map(({ rank }) => rank),
        expected.map((each) => `default/sprout/${each}`),
      );
      return now;
    });
    assert.deepEqual(
      ranks.filter(({ rank }) => rank.includes('/0/')),
      firstGroup,
      'the first group was never restarted',
    );
    const statuses = await asking.stop();
    assert.ok(statuses.length > 10);
    assert.deepEqual(
      statuses.filter((status) => status !== 200),
      [],
    );
    assert.equal((await cluster.complete('sprout')).status, 200);
  });
}
