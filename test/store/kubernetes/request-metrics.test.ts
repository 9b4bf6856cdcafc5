import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from '../../../src/base/metrics.ts';
import { countRequests } from '../../../src/store/kubernetes/request-metrics.ts';
import { CollectionServer } from './collection-server.ts';

const series = (code: string) =>
  `rest_client_requests_total{code="${code}",method="GET",host="api.example:6443"} 1`;

test('requests are counted by code, method and host, without the path', async () => {
  const server = new CollectionServer();
  const metrics = createMetrics();
  const transport = countRequests(server.transport, metrics, 'https://api.example:6443/prefix');
  const { signal } = new AbortController();
  const request = { method: 'GET' as const, path: '/api/v1/configmaps', signal };
  await transport(request);
  server.faults.push({ status: 503 }, { error: new Error('broken') });
  await transport(request);
  await assert.rejects(transport(request));
  const text = await metrics.text();
  for (const code of ['200', '503', '<error>']) assert.ok(text.includes(series(code)), text);
});
