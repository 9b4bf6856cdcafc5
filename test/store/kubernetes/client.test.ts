import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EspalierError } from '../../../src/base/errors.ts';
import { seededRandom } from '../../../src/base/random.ts';
import { createApiClient } from '../../../src/store/kubernetes/client.ts';
import type { ApiRequest, ApiResponse } from '../../../src/store/kubernetes/transport.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { CollectionServer, widgets } from './collection-server.ts';

type Answer =
  { status: number; headers?: Record<string, string>; body?: unknown } | Error | 'never';

const unreachable = (isSent: boolean) =>
  new EspalierError('ApiUnreachable', 'broken', { status: 0, isSent });

/** A client whose server gives these answers, in order, and the last one from then on. */
const setUp = (...answers: Answer[]) => {
  const clock = fakeClock();
  const requests: (ApiRequest & { atMs: number })[] = [];
  const transport = async (request: ApiRequest): Promise<ApiResponse> => {
    const answer = answers[Math.min(requests.length, answers.length - 1)]!;
    requests.push({ ...request, atMs: clock.monotonicMs() });
    if (answer instanceof Error) throw answer;
    if (answer === 'never') {
      return new Promise((_, reject) => {
        request.signal.addEventListener('abort', () => reject(request.signal.reason as Error));
      });
    }
    const text = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body ?? {});
    return {
      status: answer.status,
      headers: answer.headers ?? {},
      body: [Buffer.from(text)] as never,
    };
  };
  const client = createApiClient({ transport, clock, random: seededRandom(1) });
  /** Lets simulated time pass until the call is over. */
  const settled = async <T>(call: Promise<T>): Promise<T> => {
    const over = new AbortController();
    const watched = call.finally(() => over.abort());
    watched.catch(() => undefined);
    for (let steps = 0; steps < 1000 && !over.signal.aborted; steps += 1) await clock.advance(500);
    assert.ok(over.signal.aborted, 'the call ends');
    return watched;
  };
  return { client, clock, requests, settled };
};

const object = { apiVersion: 'v1', kind: 'Widget', metadata: { name: 'a', namespace: 'n' } };
const stored = { status: 200, body: { ...object, metadata: { ...object.metadata, uid: 'u' } } };
const name = { namespace: 'n', name: 'a' };

const codeOf = (code: string) => (error: unknown) =>
  error instanceof EspalierError && error.code === code;

test('a read is tried again after 5xx, lost connections and answers that are no JSON', async () => {
  const { client, requests, settled } = setUp(
    { status: 503 },
    unreachable(true),
    { status: 200, body: '<html>' },
    stored,
  );
  assert.equal((await settled(client.get(widgets, name))).metadata.uid, 'u');
  assert.equal(requests.length, 4);
});

test('a create is not repeated once the server may have acted on it', async () => {
  for (const answer of [{ status: 500 }, { status: 504 }, unreachable(true)]) {
    const { client, requests, settled } = setUp(answer, stored);
    await assert.rejects(settled(client.create(widgets, object)));
    assert.equal(requests.length, 1);
  }
});

test('a create is repeated when the server cannot have acted on it', async () => {
  for (const answer of [{ status: 429 }, unreachable(false)]) {
    const { client, requests, settled } = setUp(answer, stored);
    await settled(client.create(widgets, object));
    assert.equal(requests.length, 2);
  }
});

test('Retry-After is waited for, with jitter on top', async () => {
  const { client, requests, settled } = setUp(
    { status: 429, headers: { 'retry-after': '3' } },
    stored,
  );
  await settled(client.apply(widgets, object));
  const pauseMs = requests[1]!.atMs - requests[0]!.atMs;
  assert.ok(pauseMs > 3000 && pauseMs < 4000, `${pauseMs}`);
});

test('a patch is repeated only with a precondition, a deletion only with a uid', async () => {
  const cases = [
    { options: {}, requests: 1 },
    { options: { resourceVersion: '5' }, requests: 2 },
  ];
  for (const { options, requests: expected } of cases) {
    const { client, requests, settled } = setUp({ status: 500 }, stored);
    await settled(client.patch(widgets, name, { spec: {} }, options)).catch(() => undefined);
    assert.equal(requests.length, expected);
  }
  for (const [options, expected] of [
    [{}, 1],
    [{ uid: 'u' }, 2],
  ] as const) {
    const { client, requests, settled } = setUp({ status: 500 }, stored);
    await settled(client.delete(widgets, name, options)).catch(() => undefined);
    assert.equal(requests.length, expected);
  }
});

test('a deletion whose answer was lost is done when the object is not there any more', async () => {
  const gone = {
    status: 404,
    body: { kind: 'Status', reason: 'NotFound', details: { name: 'a' } },
  };
  const { client, settled } = setUp(unreachable(true), gone);
  await settled(client.delete(widgets, name, { uid: 'u' }));
  const first = setUp(gone);
  await assert.rejects(
    first.settled(first.client.delete(widgets, name, { uid: 'u' })),
    codeOf('ObjectNotFound'),
  );
});

test('a server that never answers ends in ApiUnreachable at the deadline', async () => {
  const { client, clock, requests, settled } = setUp('never');
  await assert.rejects(settled(client.get(widgets, name)), codeOf('ApiUnreachable'));
  assert.ok(clock.monotonicMs() >= 30_000 && clock.monotonicMs() < 31_000);
  assert.ok(requests.length >= 2, 'a half-open connection is not waited for until the end');
  assert.ok(requests.every(({ signal }) => signal.aborted));
});

test('an aborted call rejects with the reason of its signal and sends nothing more', async () => {
  const { client, clock, requests, settled } = setUp({ status: 503 });
  const controller = new AbortController();
  const call = client.applyStatus(widgets, object, { signal: controller.signal });
  await clock.settle();
  controller.abort(new EspalierError('EpochFenced', 'lost the lease'));
  await assert.rejects(settled(call), codeOf('EpochFenced'));
  const sent = requests.length;
  await clock.advance(60_000);
  assert.equal(requests.length, sent);
});

const status = (reason: string, details?: object) => ({ kind: 'Status', reason, details });

test('refusals have names', async () => {
  for (const [code, answer] of [
    ['ObjectNotFound', { status: 404, body: status('NotFound', { name: 'a' }) }],
    ['ApiResourceMissing', { status: 404, body: '404 page not found\n' }],
    ['ObjectConflict', { status: 409, body: status('AlreadyExists', { name: 'a' }) }],
    ['ObjectChanged', { status: 409, body: status('Conflict', { name: 'a' }) }],
    ['ApiForbidden', { status: 403, body: status('Forbidden') }],
    ['ApiUnauthorized', { status: 401, body: status('Unauthorized') }],
    ['ApiInvalid', { status: 422, body: status('Invalid') }],
    ['ApiFailed', { status: 500, body: 'upstream said no' }],
    [
      'ApiSchemaOutdated',
      { status: 500, body: { kind: 'Status', message: '.status.x: field not declared in schema' } },
    ],
  ] as const) {
    const { client, settled } = setUp(answer);
    await assert.rejects(settled(client.create(widgets, object)), codeOf(code));
  }
});

test('an apply that lost a race inside the server is repeated, one against a manager is not', async () => {
  const conflict = { kind: 'Status', reason: 'Conflict', details: { name: 'a' } };
  const race = setUp({ status: 409, body: conflict }, stored);
  await race.settled(race.client.apply(widgets, object));
  assert.equal(race.requests.length, 2);
  const owned = { ...conflict, details: { causes: [{ reason: 'FieldManagerConflict' }] } };
  const refused = setUp({ status: 409, body: owned });
  await assert.rejects(
    refused.settled(refused.client.apply(widgets, object)),
    codeOf('ObjectChanged'),
  );
  assert.equal(refused.requests.length, 1);
});

test('writes say who writes: server-side apply with force, merge patch with its precondition', async () => {
  const { client, requests, settled } = setUp(stored);
  await settled(client.applyStatus(widgets, object, { isDryRun: true }));
  await settled(client.patch(widgets, name, { metadata: { x: 1 } }, { resourceVersion: '7' }));
  const [apply, patch] = requests;
  const path = '/apis/test.espalier.dev/v1/namespaces/n/widgets/a';
  assert.equal(apply!.path, `${path}/status?force=true&fieldManager=espalier-operator&dryRun=All`);
  assert.equal(apply!.contentType, 'application/apply-patch+yaml');
  assert.equal(patch!.path, `${path}?fieldManager=espalier-operator`);
  assert.deepEqual(patch!.body, { metadata: { x: 1, resourceVersion: '7' } });
});

test('a burst is spread out: 1,000 at once, then 500 a second', async () => {
  const { client, clock, requests } = setUp(stored);
  const calls = Array.from({ length: 2000 }, async () => client.get(widgets, name));
  await clock.settle();
  assert.equal(requests.length, 1000);
  await clock.advance(1000);
  assert.equal(requests.length, 1500);
  await clock.advance(1000);
  await Promise.all(calls);
});

test('a list whose snapshot expires between two pages starts anew', async () => {
  const server = new CollectionServer();
  const clock = fakeClock();
  for (let index = 0; index < 30; index += 1) server.put(`w${index}`, index);
  const transport: typeof server.transport = async (request) => {
    const answer = await server.transport(request);
    if (server.requests.length === 2) {
      server.put('late', 1);
      server.compact();
    }
    return answer;
  };
  const client = createApiClient({ transport, clock, random: seededRandom(1) });
  const list = await client.list(widgets, { pageSize: 10 });
  assert.equal(list.items.length, 31);
  assert.equal(list.items[0]!.kind, 'Widget');
});
