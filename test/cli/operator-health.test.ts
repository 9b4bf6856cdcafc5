import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { createLogger } from '../../src/base/logger.ts';
import { createMetrics } from '../../src/base/metrics.ts';
import { operatorHealth } from '../../src/cli/operator-health.ts';
import type { Progress } from '../../src/cli/operator-health.ts';

const following = (lastContactMs: number | undefined) => ({
  modeldeployments: {
    isSynced: true,
    state: 'watching' as const,
    lastContactMs,
    lastError: undefined,
    lists: 0,
    watches: 1,
  },
});

test('a standby is ready when it sees the Lease; a leader is while it has looked at everything and hears from the API server', async (t) => {
  const metrics = createMetrics();
  const progress: Progress = {
    isLeading: false,
    isLooking: false,
    leaseProblem: '401: Unauthorized',
  };
  const server = operatorHealth({
    metrics,
    clock: systemClock,
    logger: createLogger({ name: 'test', level: 'silent' }),
    progress,
  });
  const url = await server.listen({ host: '127.0.0.1', port: 0 });
  t.after(async () => server.close());
  const ready = async () => (await fetch(`${url}/readyz`)).text();
  const leads = async () =>
    /^leader_election_master_status\S+ (\d)$/m.exec(await metrics.text())?.[1];

  assert.match(await ready(), /\[-\]lease failed: 401: Unauthorized/);
  progress.leaseProblem = undefined;
  assert.equal(await ready(), 'ok');
  assert.equal(await leads(), '0');

  progress.isLeading = true;
  assert.match(await ready(), /\[-\]controller failed: has not looked at everything yet/);
  assert.equal(await leads(), '1');

  progress.isLooking = true;
  progress.store = { following: () => following(1000) };
  assert.equal(await ready(), 'ok');

  progress.store = { following: () => following(3_600_000) };
  assert.match(await ready(), /\[-\]watches failed: nothing heard .* of modeldeployments/);
  assert.equal((await fetch(`${url}/healthz`)).status, 200, 'not worth a restart');
});
