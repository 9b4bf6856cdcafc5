import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '../../../src/base/logger.ts';
import { seededRandom } from '../../../src/base/random.ts';
import { EspalierError } from '../../../src/base/errors.ts';
import type { ApiClient, Applied } from '../../../src/store/kubernetes/client.ts';
import { advertiseRouter } from '../../../src/store/kubernetes/router-service.ts';
import { fakeClock } from '../../support/fake-clock.ts';

const setUp = (host: string) => {
  const clock = fakeClock();
  const applied: (Applied & Record<string, unknown>)[] = [];
  const term = new AbortController();
  const failures: EspalierError[] = [];
  const client = {
    apply: async (_: unknown, object: Applied & Record<string, unknown>) => {
      const failure = failures.shift();
      if (failure) throw failure;
      applied.push(object);
      return { metadata: { resourceVersion: String(applied.length) } };
    },
  } as unknown as ApiClient;
  const advertised = advertiseRouter({
    client,
    namespace: 'espalier-system',
    address: { host, port: 8080 },
    clock,
    random: seededRandom(1),
    logger: createLogger({ name: 'test', level: 'silent' }),
    signal: term.signal,
  });
  return { clock, applied, term, failures, advertised };
};

test('the Service has no selector, and its slice leads to the advertised address', async () => {
  const { clock, applied, term, advertised } = setUp('10.0.0.7');
  await clock.settle();
  const [service, slice] = applied;
  assert.deepEqual(service?.['spec'], { ports: [{ name: 'http', port: 80, protocol: 'TCP' }] });
  assert.deepEqual(slice?.['endpoints'], [
    { addresses: ['10.0.0.7'], conditions: { ready: true } },
  ]);
  assert.equal(slice?.['addressType'], 'IPv4');
  term.abort();
  await advertised.withdraw();
});

test('an IPv6 address has a slice of its own, since the type of a slice never changes', async () => {
  const { clock, applied, term, advertised } = setUp('fd00::7');
  await clock.settle();
  assert.equal(applied[1]?.['addressType'], 'IPv6');
  assert.equal(applied[1]?.metadata.name, 'espalier-router-ipv6');
  term.abort();
  await advertised.withdraw();
});

test('a refusal is tried again within the hour, and a quiet hour is 24 requests', async () => {
  const { clock, applied, term, failures, advertised } = setUp('10.0.0.7');
  await clock.settle();
  failures.push(new EspalierError('ApiForbidden', 'no'), new EspalierError('ApiForbidden', 'no'));
  applied.length = 0;
  await clock.advance(3_600_000);
  assert.ok(applied.length >= 22 && applied.length <= 24, `${applied.length}`);
  term.abort();
  await advertised.withdraw();
  applied.length = 0;
  await clock.advance(3_600_000);
  assert.equal(applied.length, 0);
});

test('a router that stops is withdrawn once, and not over what another replica wrote since', async () => {
  const { clock, applied, advertised } = setUp('10.0.0.7');
  await clock.settle();
  assert.equal(applied.length, 2);
  await advertised.withdraw();
  const slice = applied[2];
  assert.deepEqual(slice?.['endpoints'], []);
  // Of our own last write: the server refuses it when the slice is another's.
  assert.equal(slice?.metadata.resourceVersion, '2');
  await clock.advance(3_600_000);
  assert.equal(applied.length, 3);
});

test('a router that was never advertised, and a term that is over, withdraw nothing', async () => {
  const refused = setUp('10.0.0.7');
  refused.failures.push(new EspalierError('ApiForbidden', 'no'));
  await refused.clock.settle();
  await refused.advertised.withdraw();
  assert.equal(refused.applied.length, 1, 'the Service alone');

  const over = setUp('10.0.0.7');
  await over.clock.settle();
  over.term.abort();
  await over.advertised.withdraw();
  assert.equal(over.applied.length, 2);
});

test('a server that refuses does not keep a replica from stopping', async () => {
  const { clock, applied, failures, advertised } = setUp('10.0.0.7');
  await clock.settle();
  failures.push(new EspalierError('ObjectChanged', 'another replica leads'));
  await advertised.withdraw();
  assert.equal(applied.length, 2);
});
