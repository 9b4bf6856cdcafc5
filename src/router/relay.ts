import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorBody } from './api-error.ts';
import type { ApiError } from './api-error.ts';

/** An answer that came whole. */
export interface WholeAnswer {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

const passedHeaders = ['content-type', 'cache-control', 'retry-after', 'x-request-id'];

export const isEventStream = (answer: IncomingMessage): boolean =>
  answer.headers['content-type']?.startsWith('text/event-stream') ?? false;

/** Reads an answer to its end. Rejects when it breaks off, or grows beyond `maxBytes`. */
export const readWhole = async (
  answer: IncomingMessage,
  { maxBytes, onBytes }: { maxBytes: number; onBytes: () => void },
): Promise<WholeAnswer> => {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    onBytes();
    length += chunk.length;
    if (length > maxBytes) throw new Error(`answer of more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return {
    status: answer.statusCode ?? 502,
    headers: headersOf(answer),
    body: Buffer.concat(chunks),
  };
};

/**
 * Passes an event stream on chunk by chunk, as it comes, no faster than the client reads. The head is held
 * back until the first byte, so that a rejection before it leaves the client's response untouched
 * (`headersSent` says which it was).
 */
export const relayEvents = async (
  answer: IncomingMessage,
  client: ServerResponse,
  { signal, onBytes }: { signal: AbortSignal; onBytes: () => void },
): Promise<void> => {
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    onBytes();
    if (!client.headersSent) client.writeHead(answer.statusCode ?? 502, headersOf(answer));
    if (!client.write(chunk)) await once(client, 'drain', { signal });
    onBytes();
  }
  if (!client.headersSent) client.writeHead(answer.statusCode ?? 502, headersOf(answer));
  client.end();
};

/** Ends a stream that has begun with an error event, in a block of its own whatever came before. */
export const endWithErrorEvent = (client: ServerResponse, error: ApiError): void => {
  client.end(`\n\ndata: ${JSON.stringify(errorBody(error))}\n\n`);
};

const headersOf = (answer: IncomingMessage): Record<string, string> =>
  Object.fromEntries(
    passedHeaders.flatMap((name) => {
      const value = answer.headers[name];
      return typeof value === 'string' ? [[name, value]] : [];
    }),
  );
