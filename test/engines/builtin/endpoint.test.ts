/** The OpenAI-compatible endpoint of a real group of two ranks, through the official client and through bare HTTP. */
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';

import OpenAI, { APIError } from 'openai';

import { eventually } from '../../support/eventually.ts';
import { assignmentOf, engine, expectedContinuations, startGroup } from './group.ts';
import type { ExpectedContinuation, TestGroup } from './group.ts';

const contextLength = 8192;
const slots = 3;

let group: TestGroup;
let client: OpenAI;
let expected: ExpectedContinuation;

before(async () => {
  group = await startGroup({
    tensorSize: 2,
    contextLength,
    maxConcurrentRequests: slots,
    neverStops: true,
  });
  client = new OpenAI({ baseURL: group.endpointUrl, apiKey: 'none', maxRetries: 0 });
  expected = (await expectedContinuations())[0]!;
});
after(async () => group.stop());

const collect = async <T>(stream: AsyncIterable<T>): Promise<T[]> => {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
};

const post = async (path: string, body: unknown, headers: Record<string, string> = {}) => {
  const response = await fetch(`${group.endpointUrl}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, body: await response.json() };
};

const write = async (options: Partial<OpenAI.CompletionCreateParamsNonStreaming> = {}) =>
  client.completions.create({
    model: 'sprout',
    prompt: expected.prompt,
    max_tokens: expected.ids.length,
    temperature: 0,
    ...options,
  });

const textOf = async (options: Partial<OpenAI.CompletionCreateParamsNonStreaming> = {}) =>
  (await write(options)).choices[0]!.text;

test('lists its models by their served names', async () => {
  const { data } = await client.models.list();
  assert.deepEqual(
    data.map(({ id }) => id),
    ['sprout'],
  );
  assert.equal((await client.models.retrieve('sprout')).id, 'sprout');
  await assert.rejects(client.models.retrieve('oak'), { status: 404, code: 'model_not_found' });
});

test('streams the same text as it gives in one piece, with usage when asked', async () => {
  const whole = await textOf({ max_tokens: 60 });
  const stream = await client.completions.create({
    model: 'sprout',
    prompt: expected.prompt,
    max_tokens: 60,
    temperature: 0,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = await collect(stream);
  const choices = chunks.flatMap((chunk) => chunk.choices);
  assert.equal(choices.map(({ text }) => text).join(''), whole);
  assert.ok(choices.length > 10);
  assert.equal(choices.at(-1)!.finish_reason, 'length');
  assert.deepEqual(chunks.at(-1)!.usage, {
    prompt_tokens: expected.prompt_ids.length,
    completion_tokens: 60,
    total_tokens: expected.prompt_ids.length + 60,
  });
  assert.equal(new Set(chunks.map(({ id }) => id)).size, 1);
});

test('chats through the chat template of the model', async () => {
  const messages = [{ role: 'user' as const, content: expected.prompt }];
  const parameters = { model: 'sprout', messages, max_tokens: expected.ids.length, temperature: 0 };
  const { choices, usage } = await client.chat.completions.create(parameters);
  assert.equal(choices[0]!.message.content, expected.text);
  assert.equal(choices[0]!.message.role, 'assistant');
  assert.equal(usage!.prompt_tokens, expected.prompt_ids.length);

  const chunks = await collect(
    await client.chat.completions.create({ ...parameters, stream: true }),
  );
  const deltas = chunks.map((chunk) => chunk.choices[0]!);
  assert.equal(deltas[0]!.delta.role, 'assistant');
  assert.equal(deltas.map(({ delta }) => delta.content ?? '').join(''), expected.text);
  assert.equal(deltas.at(-1)!.finish_reason, 'length');
});

test('takes a prompt as tokens', async () => {
  assert.equal(await textOf({ prompt: expected.prompt_ids }), expected.text);
  assert.equal(
    await textOf({ prompt: [expected.prompt_ids] as unknown as string[] }),
    expected.text,
  );
});

test('ends before a stop string, also when it comes in several tokens, streaming or not', async () => {
  const long = await textOf({ max_tokens: 60 });
  const stop = long.slice(20, 29);
  const cut = long.slice(0, long.indexOf(stop));
  const { choices } = await write({ max_tokens: 60, stop });
  assert.equal(choices[0]!.text, cut);
  assert.equal(choices[0]!.finish_reason, 'stop');
  const stream = await client.completions.create({
    model: 'sprout',
    prompt: expected.prompt,
    max_tokens: 60,
    temperature: 0,
    stop: ['never', stop],
    stream: true,
  });
  const chunks = await collect(stream);
  assert.equal(chunks.map((chunk) => chunk.choices[0]!.text).join(''), cut);
});

test('many requests in one batch give what each gives alone', async () => {
  const prompts = (await expectedContinuations()).map(({ prompt }) => prompt);
  const requests = prompts.flatMap((prompt, index) => [
    { prompt, max_tokens: 40 },
    { prompt, max_tokens: 40, temperature: 1, top_p: 0.9, seed: index },
  ]);
  const alone: string[] = [];
  for (const request of requests) alone.push(await textOf(request));
  const together = await Promise.all(requests.map(async (request) => textOf(request)));
  assert.deepEqual(together, alone);
});

test('the same seed gives the same text, another seed another', async () => {
  const story = async (seed: number) => textOf({ temperature: 1.2, seed, max_tokens: 40 });
  assert.equal(await story(7), await story(7));
  assert.notEqual(await story(7), await story(8));
  assert.notEqual(await textOf({ temperature: 1.2, max_tokens: 40 }), await story(7));
});

test('a client that goes away frees its slot on all ranks', async () => {
  const controller = new AbortController();
  const endless = { model: 'sprout', prompt: 'Once', max_tokens: contextLength, temperature: 0 };
  const readers = Array.from({ length: slots + 1 }, async () => {
    const options = { signal: controller.signal };
    const stream = await client.completions.create({ ...endless, stream: true }, options);
    for await (const chunk of stream) assert.ok(chunk.choices);
  });
  const ended = Promise.allSettled(readers);
  await eventually('all slots are busy', async () => {
    const short = await fetch(`${group.endpointUrl}/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'sprout', prompt: 'A', max_tokens: 1 }),
      signal: AbortSignal.timeout(100),
    }).then(
      () => false,
      () => true,
    );
    return short;
  });
  // The daemon's question is answered in a full house too.
  await engine.canary(group.endpointUrl, assignmentOf({}, 0), AbortSignal.timeout(60_000));
  controller.abort();
  await ended;
  assert.equal(await textOf(), expected.text);
});

test('more requests than fit in the queue are refused with 429 and Retry-After', async () => {
  const controller = new AbortController();
  const endless = { model: 'sprout', prompt: 'Once', max_tokens: contextLength, temperature: 0 };
  const request = async () =>
    fetch(`${group.endpointUrl}/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(endless),
      signal: controller.signal,
    });
  const all = Array.from({ length: slots + 32 + 1 }, request);
  const refused = await Promise.race(all);
  assert.equal(refused.status, 429);
  assert.equal(refused.headers.get('retry-after'), '1');
  const { error } = (await refused.json()) as { error: { code: string } };
  assert.equal(error.code, 'overloaded');
  controller.abort();
  await Promise.allSettled(all);
  // The server learns a moment after the clients that they are gone.
  const text = await eventually('room in the queue again', async () =>
    textOf().catch((error: unknown) => {
      if (error instanceof APIError && error.status === 429) return undefined;
      throw error;
    }),
  );
  assert.equal(text, expected.text);
});

const badRequests: [name: string, path: string, body: unknown, status: number, error: object][] = [
  ['bad JSON', '/completions', '{"model": ', 400, { type: 'invalid_request_error' }],
  ['no object', '/completions', '[]', 400, { type: 'invalid_request_error' }],
  ['no model', '/completions', { prompt: 'A' }, 400, { param: 'model' }],
  [
    'unknown model',
    '/completions',
    { model: 'oak', prompt: 'A' },
    404,
    { code: 'model_not_found' },
  ],
  ['no prompt', '/completions', { model: 'sprout' }, 400, { param: 'prompt' }],
  ['a token beyond the vocabulary', '/completions', { prompt: [2048] }, 400, { param: 'prompt' }],
  ['two prompts', '/completions', { prompt: ['A', 'B'] }, 400, { param: 'prompt' }],
  ['n', '/completions', { prompt: 'A', n: 2 }, 400, { param: 'n', code: 'unsupported_parameter' }],
  ['logprobs', '/completions', { prompt: 'A', logprobs: 0 }, 400, { param: 'logprobs' }],
  ['temperature', '/completions', { prompt: 'A', temperature: 3 }, 400, { param: 'temperature' }],
  ['a typing error', '/completions', { prompt: 'A', max_token: 3 }, 400, { param: 'max_token' }],
  ['no messages', '/chat/completions', { messages: [] }, 400, { param: 'messages' }],
  [
    'a tool',
    '/chat/completions',
    { messages: [{ role: 'user', content: 'A' }], tools: [{}] },
    400,
    { param: 'tools', code: 'unsupported_parameter' },
  ],
  [
    'an image',
    '/chat/completions',
    { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] },
    400,
    { param: 'messages[0].content' },
  ],
  [
    'a prompt longer than the context',
    '/completions',
    { prompt: Array.from({ length: contextLength }, () => 5) },
    400,
    { code: 'context_length_exceeded' },
  ],
  [
    'a text longer than the context',
    '/completions',
    { prompt: 'word '.repeat(contextLength * 20) },
    400,
    { code: 'context_length_exceeded' },
  ],
  ['no such path', '/embeddings', {}, 404, { code: 'unknown_url' }],
];

for (const [name, path, body, status, error] of badRequests) {
  test(`refuses ${name} in OpenAI's shape`, async () => {
    const sent =
      typeof body === 'object' && !('model' in body!) && name !== 'no model'
        ? { model: 'sprout', ...body }
        : body;
    const answer = await post(path, sent);
    assert.equal(answer.status, status);
    const got = (answer.body as { error: Record<string, unknown> }).error;
    assert.deepEqual(Object.keys(got), ['message', 'type', 'param', 'code']);
    assert.partialDeepStrictEqual(got, error);
  });
}

test('refuses another content type', async () => {
  const answer = await post('/completions', 'prompt=A', { 'content-type': 'text/plain' });
  assert.equal(answer.status, 415);
  const { error } = answer.body as { error: { type: string } };
  assert.equal(error.type, 'invalid_request_error');
});

test('the log of rank 0 has no word of the prompts or answers', async () => {
  assert.doesNotMatch(await group.ranks[0]!.log(), /Once upon|Alice|test-secret/);
});
