import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { systemClock } from '../../src/base/clock.ts';
import { seededRandom } from '../../src/base/random.ts';
import { createApiClient } from '../../src/store/kubernetes/client.ts';
import { readGroupKey } from '../../src/store/kubernetes/group-key.ts';
import { becomeLeader } from '../../src/store/kubernetes/leader.ts';
import { createApiConnection } from '../../src/store/kubernetes/transport.ts';
import { controllerOver } from '../sim/controller-over.ts';
import type { FakeObject } from '../support/fake-api-server.ts';
import { simFleet } from '../support/sim-fleet.ts';
import type { SimFleet } from '../support/sim-fleet.ts';
import { groupKey, movedTo } from '../upgrade/recording.ts';
import type { Recording } from '../upgrade/recording.ts';
import { holdRanks, restoreNodes } from '../upgrade/stand-still.ts';
import { assertSameDocuments, recordings, reworded, statusesOf } from '../upgrade/unchanged.ts';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';
import { emptyEtcd, putInEtcd } from './support/etcd.ts';
import { installCRDs } from './support/kubectl.ts';

const namespace = 'espalier-system';
/** Of nodes that report, many times over. */
const reportRounds = 40;
const roundMs = 25;
const stillMs = 1000;
const kinds = ['clusternodes', 'modeldeployments', 'modeldeploymentrevisions'];

let server: ApiServer;
before(async () => {
  server = await startApiServer();
  await installCRDs(server);
  const metadata = { name: namespace };
  await create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata });
  const { uid: _, resourceVersion: __, creationTimestamp: ___, ...named } = groupKey.metadata;
  await create(`/api/v1/namespaces/${namespace}/secrets`, { ...groupKey, metadata: named });
});
after(async () => server.stop());

const create = async (path: string, object: unknown): Promise<void> => {
  const { status, body } = await server.request('POST', path, object);
  assert.equal(status, 201, JSON.stringify(body));
};

const restore = async (recording: Recording): Promise<void> => {
  await emptyEtcd(server);
  for (const plural of kinds) {
    for (const object of recording.objects[`espalier.dev/${plural}`] ?? []) {
      await putInEtcd(server, plural, object);
    }
  }
};

const list = async (path: string): Promise<FakeObject[]> => {
  const { status, body } = await server.request('GET', `/apis/${path}`);
  assert.equal(status, 200, JSON.stringify(body));
  return (body as { items: FakeObject[] }).items;
};

const objects = async (): Promise<FakeObject[]> => {
  const lists = kinds.map(async (plural) => list(`espalier.dev/v1alpha1/${plural}`));
  return (await Promise.all(lists)).flat();
};

const versionsOf = (all: FakeObject[]): string[] =>
  all.map(({ kind, metadata }) => `${kind} ${metadata.name} ${metadata.resourceVersion}`);

/** Until every node that is there has reported many times, and whoever wants to write has written. */
const report = async (fleet: SimFleet): Promise<void> => {
  for (let round = 0; round < reportRounds; round += 1) {
    holdRanks(fleet);
    fleet.step();
    await sleep(roundMs);
  }
  await sleep(stillMs);
};

const random = seededRandom(1);
const logger = pino({ level: 'silent' });

/** The present operator, with the recorded nodes, until it has had time to do what it wants. */
const operate = async (recording: Recording) => {
  const clock = systemClock;
  const connection = createApiConnection({ kubeconfig: server.kubeconfigPath });
  const client = createApiClient({ transport: connection.transport, clock, random });
  const { signal } = new AbortController();
  const identity = 'present';
  const term = await becomeLeader({ client, namespace, identity, clock, random, logger }, signal);
  const groupSecretKey = await readGroupKey(client, namespace, signal);
  const fleet = simFleet(
    recording.nodes.map(({ name }) => name),
    clock,
    random,
  );
  restoreNodes(fleet, recording);
  const nodeLink = fleet.connect();
  const parts = { client, term, groupSecretKey, identity, nodeLink, clock, random, logger };
  const fenced: string[] = [];
  const controller = controllerOver({ ...parts, onFenced: () => void fenced.push('fenced') });
  try {
    await controller.start();
    await report(fleet);
    assert.deepEqual(fenced, []);
    return fleet.documents();
  } finally {
    await controller.stop();
    await term.release();
    await connection.close();
  }
};

for (const [name, recorded] of recordings()) {
  test(`a new operator changes nothing: ${name}`, async (t) => {
    const recording = movedTo(recorded, recorded.time, new Date());
    await restore(recording);
    const before = await objects();
    const documents = await operate(recording);
    assertSameDocuments(recorded, documents);
    const now = await objects();
    const others = reworded(statusesOf(before), statusesOf(now));
    if (others.length === 0) {
      assert.deepEqual(versionsOf(now), versionsOf(before));
      assert.deepEqual(await list('events.k8s.io/v1/events'), []);
      return;
    }
    t.diagnostic(`in other words than when it was recorded: ${others.join(', ')}`);
  });
}
