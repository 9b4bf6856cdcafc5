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
    },
  } as unknown as ApiClient;
  const ended = advertiseRouter({
    client,
    namespace: 'espalier-system',
    address: { host, port: 8080 },
    clock,
    random: seededRandom(1),
    logger: createLogger({ name: 'test', level: 'silent' }),
    signal: term.signal,
  });
  return { clock, applied, term, failures, ended };
};

test('the Service has no selector, and its slice leads to the advertised address', async () => {
  const { clock, applied, term, ended } = setUp('10.0.0.7');
  await clock.settle();
  const [service, slice] = applied;
  assert.deepEqual(service?.['spec'], { ports: [{ name: 'http', port: 80, protocol: 'TCP' }] });
  assert.deepEqual(slice?.['endpoints'], [
    { addresses: ['10.0.0.7'], conditions: { ready: true } },
  ]);
  assert.equal(slice?.['addressType'], 'IPv4');
  term.abort();
  await ended;
});

test('an IPv6 address has a slice of its own, since the type of a slice never changes', async () => {
  const { clock, applied, term, ended } = setUp('fd00::7');
  await clock.settle();
  assert.equal(applied[1]?.['addressType'], 'IPv6');
  assert.equal(applied[1]?.metadata.name, 'espalier-router-ipv6');
  term.abort();
  await ended;
});

test('a refusal is tried again within the hour, and a quiet hour is 24 requests', async () => {
  const { clock, applied, term, failures, ended } = setUp('10.0.0.7');
  await clock.settle();
  failures.push(new EspalierError('ApiForbidden', 'no'), new EspalierError('ApiForbidden', 'no'));
  applied.length = 0;
  await clock.advance(3_600_000);
  assert.ok(applied.length >= 22 && applied.length <= 24, `${applied.length}`);
  term.abort();
  await ended;
  applied.length = 0;
  await clock.advance(3_600_000);
  assert.equal(applied.length, 0);
});
