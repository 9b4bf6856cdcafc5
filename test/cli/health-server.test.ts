import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { createLogger } from '../../src/base/logger.ts';
import { createMetrics } from '../../src/base/metrics.ts';
import { createHealthServer } from '../../src/cli/health-server.ts';
import type { HealthServerOptions } from '../../src/cli/health-server.ts';

const serve = async (context: TestContext, options: Partial<HealthServerOptions> = {}) => {
  const server = createHealthServer({
    metrics: createMetrics(),
    clock: systemClock,
    logger: createLogger({ name: 'test', level: 'silent' }),
    ...options,
  });
  const url = await server.listen({ host: '127.0.0.1', port: 0 });
  context.after(async () => server.close());
  return async (path: string) => {
    const response = await fetch(`${url}${path}`);
    return { code: response.status, text: await response.text() };
  };
};

test('a healthy process says ok, and names its checks when asked', async (t) => {
  const get = await serve(t);
  assert.deepEqual(await get('/healthz'), { code: 200, text: 'ok' });
  assert.deepEqual(await get('/healthz?verbose'), {
    code: 200,
    text: '[+]ping ok\nhealthz check passed\n',
  });
});

test('readiness holds when every check does; liveness does not ask for it', async (t) => {
  let problem: string | undefined = 'still reading';
  const get = await serve(t, { readiness: [{ name: 'store', problem: () => problem }] });
  assert.equal((await get('/healthz')).code, 200);
  assert.deepEqual(await get('/readyz'), {
    code: 500,
    text: '[+]ping ok\n[-]store failed: still reading\nreadyz check failed\n',
  });
  assert.equal((await get('/readyz/store')).code, 500);
  assert.deepEqual(await get('/readyz?exclude=store'), { code: 200, text: 'ok' });
  problem = undefined;
  assert.deepEqual(await get('/readyz'), { code: 200, text: 'ok' });
});

test('a check that never answers, or throws, has failed', async (t) => {
  const get = await serve(t, {
    liveness: [
      { name: 'stuck', problem: async () => new Promise(() => {}) },
      {
        name: 'broken',
        problem: () => {
          throw new Error('no such disk');
        },
      },
    ],
  });
  const { code, text } = await get('/healthz');
  assert.equal(code, 500);
  assert.match(
    text,
    /\[-\]stuck failed: no answer within 500 ms\n\[-\]broken failed: no such disk/,
  );
});

test('metrics come in the text format; one that cannot be sampled is an error, not a gap', async (t) => {
  const metrics = createMetrics();
  metrics.counter({ name: 'plans_total', help: 'Plans.' }).add({}, 3);
  const get = await serve(t, { metrics });
  assert.match((await get('/metrics')).text, /^plans_total 3$/m);
  metrics.gauge({ name: 'broken', help: 'Broken.' }, () => {
    throw new Error('secret-value');
  });
  const { code, text } = await get('/metrics');
  assert.equal(code, 500);
  assert.doesNotMatch(text, /secret-value/);
  assert.equal((await get('/elsewhere')).code, 404);
});
