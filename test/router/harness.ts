import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import OpenAI from 'openai';
import { pino } from 'pino';
import { systemClock } from '../../src/base/clock.ts';
import { createRouter } from '../../src/router/router.ts';
import type { RouterOptions } from '../../src/router/router.ts';
import type { Route } from '../../src/router/route-table.ts';

export interface Upstream {
  url: string;
  server: Server;
  /** Bodies that arrived, parsed. */
  requests: { path: string; body: Record<string, unknown> }[];
  /** Requests whose connection closed before their answer was complete. */
  aborted: number;
  port: number;
}

export type Answer = (
  response: ServerResponse,
  request: IncomingMessage,
  upstream: Upstream,
) => void | Promise<void>;

/** A rank 0 that answers as told, on a port of its own. */
export const startUpstream = async (
  context: TestContext,
  answer: Answer,
  port = 0,
): Promise<Upstream> => {
  const server = createServer((request, response) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
      upstream.requests.push({ path: request.url ?? '', body });
      response.on('close', () => {
        if (!response.writableFinished) upstream.aborted += 1;
      });
      await answer(response, request, upstream);
    })();
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const bound = (server.address() as AddressInfo).port;
  const upstream: Upstream = {
    url: `http://127.0.0.1:${bound}/v1`,
    server,
    requests: [],
    aborted: 0,
    port: bound,
  };
  return upstream;
};

export const route = (urls: string[], overrides: Partial<Route> = {}): Route => ({
  namespace: 'default',
  name: 'sprout',
  servedNames: ['sprout'],
  endpoints: urls,
  retryAfterSeconds: 2,
  ...overrides,
});

export interface RunningRouter {
  url: string;
  /** Replace its content to change what is ready. */
  routes: Route[];
  logLines: string[];
  openai: OpenAI;
  close: () => Promise<void>;
}

export const startRouter = async (
  context: TestContext,
  routes: Route[],
  options: Partial<RouterOptions> = {},
): Promise<RunningRouter> => {
  const logLines: string[] = [];
  const logger = pino({ level: 'trace' }, { write: (line: string) => logLines.push(line) });
  const router = createRouter({
    routes: { routes: () => routes },
    logger,
    clock: systemClock,
    drainMs: 300,
    ...options,
    // The others are long enough by themselves.
    deadlines: { connectMs: 60_000, ...options.deadlines },
  });
  const { port } = await router.listen();
  context.after(async () => router.close());
  const url = `http://127.0.0.1:${port}`;
  const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
  return { url, routes, logLines, openai, close: async () => router.close() };
};

export const postJson = async (
  url: string,
  body: unknown,
  signal?: AbortSignal,
): Promise<Response> =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...(signal ? { signal } : {}),
  });

export const completionAnswer = (text: string) => ({
  id: 'cmpl-1',
  object: 'text_completion',
  created: 1,
  model: 'sprout',
  choices: [{ index: 0, text, finish_reason: 'stop', logprobs: null }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
});

export const answerJson = (response: ServerResponse, value: unknown, status = 200): void => {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
};

export const startEvents = (response: ServerResponse): void => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
};

export const chatEvent = (content: string): string =>
  `data: ${JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'sprout',
    choices: [{ index: 0, delta: { content }, finish_reason: null }],
  })}\n\n`;
