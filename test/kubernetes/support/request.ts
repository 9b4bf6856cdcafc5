import { request } from 'node:https';

const requestTimeoutMs = 10_000;

export interface ApiAnswer {
  status: number;
  /** Parsed if it is JSON, else the text. */
  body: unknown;
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
};

/** One request over a connection of its own. `ca` is PEM. */
export const send = async (
  url: string,
  options: { method: string; token: string; ca: string; contentType: string; body?: unknown },
): Promise<ApiAnswer> =>
  new Promise((resolve, reject) => {
    const { method, token, ca, contentType, body } = options;
    const headers: Record<string, string> = { authorization: `Bearer ${token}` };
    if (body !== undefined) headers['content-type'] = contentType;
    const signal = AbortSignal.timeout(requestTimeoutMs);
    const sent = request(url, { method, headers, ca, signal, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: parsed(String(Buffer.concat(chunks))) }),
      );
    });
    sent.on('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
