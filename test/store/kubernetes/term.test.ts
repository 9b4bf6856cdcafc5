import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import { seededRandom } from '../../../src/base/random.ts';
import { createApiClient } from '../../../src/store/kubernetes/client.ts';
import { termOver, underTerm } from '../../../src/store/kubernetes/term.ts';
import type { ApiRequest, ApiResponse } from '../../../src/store/kubernetes/transport.ts';
import { FakeApiServer } from '../../support/fake-api-server.ts';
import { kubernetesHarness } from './store-harness.ts';

test('nothing is sent once the term is over, by a look at the moment of sending', async () => {
  const over = new AbortController();
  const sent: string[] = [];
  const answer: ApiResponse = { status: 200, headers: {}, body: (async function* () {})() };
  const transport = underTerm(
    async ({ method }) => {
      sent.push(method);
      return answer;
    },
    { signal: over.signal },
  );
  // The signal of the request itself says nothing: it was handed out before.
  const request: ApiRequest = {
    method: 'POST',
    path: '/api/v1/namespaces/default/events',
    signal: new AbortController().signal,
  };
  await transport(request);
  over.abort(termOver(7, 'the Lease could not be renewed'));
  await assert.rejects(transport(request), { code: 'EpochFenced' });
  assert.deepEqual(sent, ['POST']);
});

test('who has lost the Lease has no epoch to command nodes with', async (t) => {
  const server = new FakeApiServer(systemClock);
  const newClient = () =>
    createApiClient({
      transport: server.transport,
      clock: systemClock,
      random: seededRandom(1),
    });
  const harness = kubernetesHarness(t, 'espalier-system', newClient);
  const store = await harness.open();
  assert.ok(store.epoch() > 0);
  await harness.takeOver();
  assert.throws(() => store.epoch(), { code: 'EpochFenced' });
});
