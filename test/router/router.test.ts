import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import OpenAI, { BadRequestError, NotFoundError } from 'openai';
import { pino } from 'pino';
import { systemClock } from '../../src/base/clock.ts';
import { createLogger } from '../../src/base/logger.ts';
import { createMetrics } from '../../src/base/metrics.ts';
import { createRouter } from '../../src/router/router.ts';
import { eventually } from '../support/eventually.ts';
import {
  answerJson,
  chatEvent,
  completionAnswer,
  postJson,
  route,
  startEvents,
  startRouter,
  startUpstream,
} from './harness.ts';

interface ErrorAnswer {
  error: { message: string; type: string; code: string; param: string | null };
}
const errorOf = async (response: Response) => ((await response.json()) as ErrorAnswer).error;

describe('the official client', () => {
  it('completes, streamed and not, on /v1 and on the deployment’s own address', async (context) => {
    const upstream = await startUpstream(context, (response, request) => {
      if (request.url?.endsWith('/chat/completions')) {
        startEvents(response);
        response.end(`${chatEvent('Hel')}${chatEvent('lo')}data: [DONE]\n\n`);
      } else answerJson(response, completionAnswer('hello'));
    });
    const { openai, url } = await startRouter(context, [route([upstream.url])]);
    const own = new OpenAI({ baseURL: `${url}/default/sprout/v1`, apiKey: 'none', maxRetries: 0 });
    for (const client of [openai, own]) {
      const completion = await client.completions.create({ model: 'sprout', prompt: 'hi' });
      assert.equal(completion.choices[0]?.text, 'hello');
      assert.equal(completion.usage?.total_tokens, 2);
      const stream = await client.chat.completions.create({
        model: 'sprout',
        messages: [{ role: 'user', content: 'hi' }],
        stream: true,
      });
      let text = '';
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
      assert.equal(text, 'Hello');
    }
    assert.deepEqual(
      upstream.requests.map(({ path }) => path),
      ['/v1/completions', '/v1/chat/completions', '/v1/completions', '/v1/chat/completions'],
    );
    assert.deepEqual(upstream.requests[0]?.body, { model: 'sprout', prompt: 'hi' });
  });

  it('lists models and retrieves one', async (context) => {
    const { openai, url } = await startRouter(context, [
      route([], { servedNames: ['a', 'org/b'] }),
      route([], { name: 'plain', servedNames: [] }),
    ]);
    const ids: string[] = [];
    for await (const model of openai.models.list()) ids.push(model.id);
    assert.deepEqual(ids, ['a', 'org/b', 'plain']);
    assert.equal((await openai.models.retrieve('org/b')).owned_by, 'default/sprout');
    const own = (await (await fetch(`${url}/default/plain/v1/models`)).json()) as {
      data: unknown[];
    };
    assert.equal(own.data.length, 1);
    await assert.rejects(openai.models.retrieve('c'), NotFoundError);
  });
});

describe('a stream', () => {
  it('reaches the client event by event, as it comes', async (context) => {
    const gate = Promise.withResolvers<void>();
    const upstream = await startUpstream(context, async (response) => {
      startEvents(response);
      response.write('data: 1\n');
      await gate.promise;
      response.end('\ndata: [DONE]\n\n');
    });
    const { url } = await startRouter(context, [route([upstream.url])]);
    const response = await postJson(`${url}/v1/completions`, { model: 'sprout', stream: true });
    const reader = response.body?.getReader();
    const first = await reader?.read();
    // The upstream has not sent more, and does not until this arrived: half an event is passed on too.
    assert.equal(Buffer.from(first?.value ?? []).toString(), 'data: 1\n');
    gate.resolve();
    const second = await reader?.read();
    assert.equal(Buffer.from(second?.value ?? []).toString(), '\ndata: [DONE]\n\n');
    assert.equal((await reader?.read())?.done, true);
    assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
  });

  it('of megabytes arrives whole at a client that reads slowly', async (context) => {
    const block = `data: ${'x'.repeat(1000)}\n\n`;
    const upstream = await startUpstream(context, (response) => {
      startEvents(response);
      response.end(block.repeat(8000));
    });
    const { url } = await startRouter(context, [route([upstream.url])]);
    const response = await postJson(`${url}/v1/completions`, { model: 'sprout', stream: true });
    assert.equal((await response.text()).length, block.length * 8000);
  });
});

describe('a router whose deployments are still being read', () => {
  it('knows of no model that does not exist: 503, until they are read', async (context) => {
    let isRead = false;
    const table = { routes: () => [], isComplete: () => isRead };
    const { url } = await startRouter(context, [], { routes: table });
    const ask = async () => postJson(`${url}/v1/completions`, { model: 'sprout' });
    const early = await ask();
    assert.deepEqual([early.status, early.headers.get('retry-after')], [503, '1']);
    assert.equal((await errorOf(early)).code, 'service_unavailable');
    assert.equal((await fetch(`${url}/v1/models`)).status, 503);
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    isRead = true;
    assert.equal((await ask()).status, 404);
  });
});

describe('a wrong request', () => {
  const rows: [string, string, string | object, number, string][] = [
    ['no JSON', '/v1/completions', '{"model": ', 400, 'invalid_json'],
    ['a list', '/v1/completions', [], 400, 'invalid_json'],
    ['an empty body', '/v1/completions', '', 400, 'invalid_json'],
    ['no model', '/v1/chat/completions', {}, 400, 'missing_model'],
    ['an unknown model', '/v1/completions', { model: 'gpt-9' }, 404, 'model_not_found'],
    [
      'an unknown deployment',
      '/default/other/v1/completions',
      { model: 'sprout' },
      404,
      'model_not_found',
    ],
    [
      "another deployment's model",
      '/default/oak/v1/completions',
      { model: 'sprout' },
      404,
      'model_not_found',
    ],
    ['an unknown path', '/v1/embeddings', { model: 'sprout' }, 404, 'unknown_url'],
    ['a malformed path', '/%zz/sprout/v1/completions', { model: 'sprout' }, 400, 'bad_request'],
    ['too large a body', '/v1/completions', { model: 'x'.repeat(3000) }, 413, 'request_too_large'],
  ];
  for (const [what, path, body, status, code] of rows) {
    it(`with ${what} is answered ${status} in OpenAI's shape`, async (context) => {
      const routes = [route([]), route([], { name: 'oak', servedNames: ['oak'] })];
      const { url } = await startRouter(context, routes, { maxBodyBytes: 2000 });
      const response = await postJson(`${url}${path}`, body);
      const error = await errorOf(response);
      assert.deepEqual([response.status, error.code], [status, code]);
      assert.equal(error.type, 'invalid_request_error');
      assert.equal(typeof error.message, 'string');
    });
  }

  it('that upstream refuses keeps its answer', async (context) => {
    const refusal = {
      error: { message: 'too long', type: 'invalid_request_error', code: 'x', param: null },
    };
    const upstream = await startUpstream(context, (response) => answerJson(response, refusal, 400));
    const { openai } = await startRouter(context, [route([upstream.url])]);
    await assert.rejects(
      openai.completions.create({ model: 'sprout', prompt: 'hi' }),
      (error: unknown) => error instanceof BadRequestError && error.code === 'x',
    );
  });
});

describe('the router', () => {
  it('answers for its own health', async (context) => {
    const { url } = await startRouter(context, []);
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
  });

  it('never logs what passes through it', async (context) => {
    const upstream = await startUpstream(context, (response) =>
      answerJson(response, completionAnswer('ANSWERED')),
    );
    const { url, logLines } = await startRouter(context, [route([upstream.url])]);
    await postJson(`${url}/v1/completions`, { model: 'sprout', prompt: 'ASKED' });
    await postJson(`${url}/v1/completions`, '{"prompt": "ASKED"');
    await postJson(`${url}/v1/completions`, { model: 'sprout', prompt: 'ASKED' });
    assert.ok(logLines.length > 0);
    assert.doesNotMatch(logLines.join(''), /ASKED|ANSWERED/);
  });

  it('names the port that is taken', async (context) => {
    const { url } = await startRouter(context, []);
    const second = createRouter({
      routes: { routes: () => [] },
      logger: pino({ level: 'silent' }),
      clock: systemClock,
    });
    context.after(async () => second.close());
    const port = Number(new URL(url).port);
    await assert.rejects(second.listen({ port }), { code: 'AddressInUse' });
    assert.equal(second.address(), undefined);
  });
});

it('requests are counted by deployment, and what a client writes makes no series', async (t) => {
  const upstream = await startUpstream(t, (response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  const metrics = createMetrics();
  const { url } = await startRouter(t, [route([upstream.url])], { metrics });
  await postJson(`${url}/v1/completions`, { model: 'sprout', prompt: 'a secret prompt' });
  await postJson(`${url}/v1/completions`, { model: 'made-up', prompt: 'b' });
  const text = await metrics.text();
  const labels = 'namespace="default",name="sprout",code="200",outcome="Answered"';
  assert.ok(text.includes(`espalier_router_requests_total{${labels}} 1\n`), text);
  assert.match(text, /espalier_router_requests_total\{namespace="",name="",code="404".*\} 1\n/);
  assert.match(text, /espalier_router_requests_in_flight\{namespace="default",name="sprout"\} 0\n/);
  assert.doesNotMatch(text, /made-up|secret prompt/);
});

it('a line of the log names the deployment, has every key once and nothing of the prompt', async (t) => {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const logger = createLogger({ name: 'espalier', level: 'debug', destination });
  const upstream = await startUpstream(t, (response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  const { url } = await startRouter(t, [route([upstream.url])], { logger });
  await postJson(`${url}/v1/completions`, { model: 'sprout', prompt: 'a secret prompt' });
  await eventually('the request is logged', () => lines.length > 0);
  const [line = ''] = lines;
  const keys = [...line.matchAll(/"(\w+)":/g)].map(([, key]) => key);
  assert.deepEqual(keys, [...new Set(keys)], line);
  assert.equal((JSON.parse(line) as { deployment?: string }).deployment, 'default/sprout');
  assert.doesNotMatch(lines.join(''), /secret/);
});
