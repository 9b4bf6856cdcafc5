import { systemClock } from '../../../src/base/clock.ts';
import { seededRandom } from '../../../src/base/random.ts';
import { createApiClient } from '../../../src/store/kubernetes/client.ts';
import { FakeApiServer } from '../../support/fake-api-server.ts';
import { storeConformance } from '../conformance.ts';
import { kubernetesHarness } from './store-harness.ts';

// Over a real API server: test/kubernetes/store.test.ts.
storeConformance('the Kubernetes store', async (t) => {
  const { transport } = new FakeApiServer(systemClock);
  return kubernetesHarness(t, 'espalier-system', () =>
    createApiClient({ transport, clock: systemClock, random: seededRandom(1) }),
  );
});
