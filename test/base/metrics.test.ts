import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics, createProcessMetrics } from '../../src/base/metrics.ts';

const seriesOf = async (metrics: { text(): Promise<string> }): Promise<string[]> =>
  (await metrics.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));

test('a counter that was added 0 exists before its first event', async () => {
  const metrics = createMetrics();
  const plans = metrics.counter({ name: 'plans_total', help: 'Plans.', labels: ['result'] });
  plans.add({ result: 'Planned' }, 0);
  assert.deepEqual(await seriesOf(metrics), ['plans_total{result="Planned"} 0']);
  plans.add({ result: 'Planned' });
  assert.deepEqual(await seriesOf(metrics), ['plans_total{result="Planned"} 1']);
});

test('two who describe one counter count together', async () => {
  const metrics = createMetrics();
  const description = { name: 'requests_total', help: 'Requests.' };
  metrics.counter(description).add({});
  metrics.counter(description).add({}, 2);
  assert.deepEqual(await seriesOf(metrics), ['requests_total 3']);
});

test('a gauge shows what there is at the scrape, and nothing that was there before', async () => {
  const metrics = createMetrics();
  let names = ['a', 'b'];
  metrics.gauge({ name: 'up', help: 'Up.', labels: ['name'] }, () =>
    names.map((name) => ({ labels: { name }, value: 1 })),
  );
  assert.deepEqual(await seriesOf(metrics), ['up{name="a"} 1', 'up{name="b"} 1']);
  names = ['b'];
  assert.deepEqual(await seriesOf(metrics), ['up{name="b"} 1']);
});

test('two registries share nothing', async () => {
  const description = { name: 'requests_total', help: 'Requests.' };
  const [one, other] = [createMetrics(), createMetrics()];
  one.counter(description).add({});
  other.counter(description);
  assert.deepEqual(await seriesOf(one), ['requests_total 1']);
  assert.deepEqual(await seriesOf(other), ['requests_total 0']);
});

test('a name serves one gauge only', () => {
  const metrics = createMetrics();
  metrics.gauge({ name: 'up', help: 'Up.' }, () => []);
  assert.throws(() => metrics.gauge({ name: 'up', help: 'Up.' }, () => []));
});

test('the metrics of the process stand beside ours', async () => {
  const metrics = createProcessMetrics();
  assert.ok(metrics.names().includes('process_resident_memory_bytes'));
  assert.match(await metrics.text(), /^nodejs_eventloop_lag_p99_seconds /m);
});
