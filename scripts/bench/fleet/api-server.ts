import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import type { ApiRequest } from '../../../src/store/kubernetes/transport.ts';
import { FakeApiServer } from '../../../test/support/fake-api-server.ts';
import { systemClock } from '../../../src/base/clock.ts';

export interface HttpApiServer {
  server: FakeApiServer;
  url: string;
  close(): void;
}

/** The API server in memory behind HTTP on loopback, so that another process can be its client. */
export const serveFakeApi = async (): Promise<HttpApiServer> => {
  const server = new FakeApiServer(systemClock);
  const http = createServer((request, response) => {
    exchange(server, request, response).catch(() => response.destroy());
  });
  http.listen(0, '127.0.0.1');
  await new Promise((resolve) => http.once('listening', resolve));
  const { port } = http.address() as AddressInfo;
  return {
    server,
    url: `http://127.0.0.1:${port}`,
    close: () => {
      http.close();
      http.closeAllConnections();
    },
  };
};

const exchange = async (
  server: FakeApiServer,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  const hasBody = request.method !== 'GET' && request.headers['content-length'] !== '0';
  const contentType = request.headers['content-type'];
  const answer = server.handle({
    method: request.method as ApiRequest['method'],
    path: request.url!,
    ...(contentType === undefined ? {} : { contentType }),
    ...(hasBody ? { body: await json(request) } : {}),
    signal: gone.signal,
  });
  response.writeHead(answer.status, { ...answer.headers, 'content-type': 'application/json' });
  response.flushHeaders();
  for await (const chunk of answer.body) response.write(chunk);
  response.end();
};
