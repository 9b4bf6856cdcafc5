import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { APIError, InternalServerError } from 'openai';
import { eventually } from '../support/eventually.ts';
import { restartablePort } from '../support/restartable-port.ts';
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
import type { Answer } from './harness.ts';

const prompt = { model: 'sprout', prompt: 'hi' };
const hang: Answer = () => {};
const die: Answer = (response) => {
  response.destroy();
};
const serve: Answer = (response) => answerJson(response, completionAnswer('served'));

const unavailable = async (response: Response) => {
  const { error } = (await response.json()) as { error: { code: string; message: string } };
  return [response.status, response.headers.get('retry-after'), error.code, error.message];
};

describe('with no group that serves', () => {
  it('a request is told why and when to come back', async (context) => {
    const { url, openai } = await startRouter(context, [
      route([], { unavailableMessage: 'waiting for mini-2', retryAfterSeconds: 7 }),
    ]);
    assert.deepEqual(await unavailable(await postJson(`${url}/v1/completions`, prompt)), [
      503,
      '7',
      'service_unavailable',
      'waiting for mini-2',
    ]);
    await assert.rejects(openai.completions.create(prompt), InternalServerError);
  });

  for (const [what, answer] of [
    ['dies before it answers', die],
    [
      'dies in the middle of an answer in one piece',
      (response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1000 });
        response.write('{"id":', () => response.destroy());
      },
    ],
    [
      'dies after the head of a stream',
      (response) => {
        startEvents(response);
        response.flushHeaders();
        setImmediate(() => response.destroy());
      },
    ],
  ] satisfies [string, Answer][]) {
    it(`a group that ${what} gives 503`, async (context) => {
      const upstream = await startUpstream(context, answer);
      const { url } = await startRouter(context, [route([upstream.url])]);
      const [status, retryAfter] = await unavailable(
        await postJson(`${url}/v1/completions`, prompt),
      );
      assert.deepEqual([status, retryAfter], [503, '2']);
      assert.equal(upstream.requests.length, 1);
    });
  }

  it('a port where nobody listens gives 503', async (context) => {
    const port = await restartablePort();
    const { url } = await startRouter(context, [route([`http://127.0.0.1:${port}/v1`])]);
    const [status] = await unavailable(await postJson(`${url}/v1/completions`, prompt));
    assert.equal(status, 503);
  });
});

describe('with another group', () => {
  for (const [what, answer] of [
    ['has died', die],
    ['is shutting down', (response) => answerJson(response, { error: {} }, 503)],
    ['is full', (response) => answerJson(response, { error: {} }, 429)],
  ] satisfies [string, Answer][]) {
    it(`a request moves on from one that ${what}`, async (context) => {
      const first = await startUpstream(context, answer);
      const second = await startUpstream(context, serve);
      const { openai } = await startRouter(context, [route([first.url, second.url])]);
      const completion = await openai.completions.create(prompt);
      assert.equal(completion.choices[0]?.text, 'served');
      assert.deepEqual([first.requests.length, second.requests.length], [1, 1]);
    });
  }

  it('a request tries two groups and no more', async (context) => {
    const groups = await Promise.all([1, 2, 3].map(async () => startUpstream(context, die)));
    const { url } = await startRouter(context, [route(groups.map((group) => group.url))]);
    assert.equal((await postJson(`${url}/v1/completions`, prompt)).status, 503);
    assert.deepEqual(
      groups.map(({ requests }) => requests.length),
      [1, 1, 0],
    );
  });

  it('requests go to the least loaded one', async (context) => {
    const first = await startUpstream(context, hang);
    const second = await startUpstream(context, hang);
    const { url } = await startRouter(context, [route([first.url, second.url])]);
    const controller = new AbortController();
    const pending = Promise.allSettled(
      [1, 2, 3, 4].map(async () => postJson(`${url}/v1/completions`, prompt, controller.signal)),
    );
    await eventually(
      'four requests upstream',
      () => first.requests.length + second.requests.length === 4,
    );
    assert.deepEqual([first.requests.length, second.requests.length], [2, 2]);
    controller.abort();
    await pending;
  });
});

describe('a connection kept alive', () => {
  it('that the group closed is replaced without an error', async (context) => {
    const upstream = await startUpstream(context, serve);
    const { url } = await startRouter(context, [route([upstream.url])]);
    assert.equal((await postJson(`${url}/v1/completions`, prompt)).status, 200);
    // A new process on the same port: the old connection is dead, and the router may not know yet.
    upstream.server.closeAllConnections();
    assert.equal((await postJson(`${url}/v1/completions`, prompt)).status, 200);
  });
});

describe('a client that goes', () => {
  for (const [what, answer] of [
    ['while it waits', hang],
    [
      'in the middle of a stream',
      (response) => {
        startEvents(response);
        response.write(chatEvent('a'));
      },
    ],
  ] satisfies [string, Answer][]) {
    it(`ends its request upstream ${what}`, async (context) => {
      const upstream = await startUpstream(context, answer);
      const { url } = await startRouter(context, [route([upstream.url])]);
      const controller = new AbortController();
      const body = { ...prompt, stream: true };
      const response = postJson(`${url}/v1/completions`, body, controller.signal);
      const gone = assert.rejects(async () => (await response).text(), { name: 'AbortError' });
      await eventually('the request is upstream', () => upstream.requests.length === 1);
      if (answer !== hang) await response;
      controller.abort();
      await eventually('upstream sees the end', () => upstream.aborted === 1);
      await gone;
    });
  }
});

describe('a stream that breaks', () => {
  it('ends with an error event', async (context) => {
    const upstream = await startUpstream(context, (response) => {
      startEvents(response);
      response.write(`${chatEvent('a')}data: {"half`, () => response.destroy());
    });
    const { url } = await startRouter(context, [route([upstream.url])]);
    const text = await (
      await postJson(`${url}/v1/chat/completions`, { model: 'sprout', stream: true })
    ).text();
    assert.match(text, /\n\ndata: \{"error":\{"message":"the group .* failed".*\}\}\n\n$/);
    assert.equal(upstream.requests.length, 1);
  });

  it('raises an error in the official client', async (context) => {
    const upstream = await startUpstream(context, (response) => {
      startEvents(response);
      response.write(chatEvent('a'), () => response.destroy());
    });
    const { openai } = await startRouter(context, [route([upstream.url])]);
    const stream = await openai.chat.completions.create({
      model: 'sprout',
      messages: [],
      stream: true,
    });
    await assert.rejects(async () => {
      for await (const chunk of stream) assert.equal(chunk.choices[0]?.delta.content, 'a');
    }, APIError);
  });
});

describe('silence', () => {
  for (const stream of [true, false]) {
    it(`before a${stream ? ' stream' : 'n answer'} ends in 504`, async (context) => {
      const upstream = await startUpstream(context, hang);
      const spare = await startUpstream(context, serve);
      const { url } = await startRouter(context, [route([upstream.url, spare.url])], {
        deadlines: { firstByteMs: 300, responseMs: 300 },
      });
      const response = await postJson(`${url}/v1/completions`, { ...prompt, stream });
      assert.equal(response.status, 504);
      assert.equal(spare.requests.length, 0);
      await eventually('upstream is told', () => upstream.aborted === 1);
    });
  }

  it('in a stream ends it with an error event', async (context) => {
    const upstream = await startUpstream(context, (response) => {
      startEvents(response);
      response.write(chatEvent('a'));
    });
    const { url } = await startRouter(context, [route([upstream.url])], {
      deadlines: { idleMs: 300 },
    });
    const response = await postJson(`${url}/v1/completions`, { ...prompt, stream: true });
    assert.match(await response.text(), /"code":"timeout"/);
  });

  it('of a group that is no longer ready ends within seconds', async (context) => {
    const upstream = await startUpstream(context, hang);
    const { url, routes } = await startRouter(context, [route([upstream.url])], {
      deadlines: { unlistedMs: 300 },
    });
    const response = postJson(`${url}/v1/completions`, prompt);
    await eventually('the request is upstream', () => upstream.requests.length === 1);
    routes.splice(0, 1, route([]));
    const [status, , , message] = await unavailable(await response);
    assert.deepEqual(
      [status, message],
      [503, 'the group that served this request is no longer ready'],
    );
  });

  it('of a group that is no longer ready moves the request to one that is', async (context) => {
    const upstream = await startUpstream(context, hang);
    const spare = await startUpstream(context, serve);
    const { url, routes } = await startRouter(context, [route([upstream.url])], {
      deadlines: { unlistedMs: 300 },
    });
    const response = postJson(`${url}/v1/completions`, prompt);
    await eventually('the request is upstream', () => upstream.requests.length === 1);
    routes.splice(0, 1, route([spare.url]));
    assert.equal((await response).status, 200);
  });
});

describe('closing', () => {
  it('lets requests under way finish and takes no new ones', async (context) => {
    const gate = Promise.withResolvers<void>();
    const upstream = await startUpstream(context, async (response) => {
      startEvents(response);
      response.write(chatEvent('a'));
      await gate.promise;
      response.end('data: [DONE]\n\n');
    });
    const { url, close } = await startRouter(context, [route([upstream.url])], { drainMs: 20_000 });
    const response = await postJson(`${url}/v1/completions`, { ...prompt, stream: true });
    const closed = close();
    await eventually('new requests are refused', async () =>
      fetch(`${url}/healthz`).then(
        ({ status }) => status === 503,
        () => true,
      ),
    );
    gate.resolve();
    assert.match(await response.text(), /\[DONE\]/);
    await closed;
  });

  it('ends what is still under way after its bound', async (context) => {
    const upstream = await startUpstream(context, (response) => {
      startEvents(response);
      response.write(chatEvent('a'));
    });
    const waiting = await startUpstream(context, hang);
    const routes = [
      route([upstream.url]),
      route([waiting.url], { name: 'oak', servedNames: ['oak'] }),
    ];
    const { url, close } = await startRouter(context, routes, { drainMs: 100 });
    const stream = await postJson(`${url}/v1/completions`, { ...prompt, stream: true });
    const answer = postJson(`${url}/v1/completions`, { model: 'oak' });
    await eventually('both are upstream', () => waiting.requests.length === 1);
    await close();
    assert.match(await stream.text(), /shutting down/);
    assert.equal((await answer).status, 503);
    await eventually('upstreams are told', () => upstream.aborted === 1 && waiting.aborted === 1);
  });
});
