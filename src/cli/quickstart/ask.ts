/** One greedy completion over the OpenAI-compatible endpoint, streamed. */
export interface Answer {
  completion: string;
  tokens: number;
  /** Over the time from the first token to the last. */
  decodeTokensPerSecond: number;
}

/**
 * Asks `baseUrl` (ending in /v1) to continue `prompt` with the likeliest tokens. Calls `onText` as text
 * arrives. Rejects when the endpoint answers with an error or `timeoutMs` passes.
 */
export const ask = async (options: {
  baseUrl: string;
  model: string;
  prompt: string;
  maxTokens: number;
  timeoutMs: number;
  onText?: (text: string) => void;
}): Promise<Answer> => {
  const response = await fetch(`${options.baseUrl}/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: options.model,
      prompt: options.prompt,
      max_tokens: options.maxTokens,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    }),
    signal: AbortSignal.timeout(options.timeoutMs),
  });
  if (!response.ok || !response.body) {
    throw new Error(`${response.status} from ${options.baseUrl}: ${await response.text()}`);
  }
  return collect(response.body, options.onText ?? (() => undefined));
};

interface Chunk {
  choices?: { text?: string }[];
  usage?: { completion_tokens: number } | null;
  error?: { message: string };
}

const collect = async (
  body: AsyncIterable<Uint8Array>,
  onText: (text: string) => void,
): Promise<Answer> => {
  let completion = '';
  let tokens = 0;
  let firstMs: number | undefined;
  let lastMs = 0;
  for await (const chunk of serverSentEvents(body)) {
    if (chunk.error) throw new Error(chunk.error.message);
    const text = chunk.choices?.[0]?.text ?? '';
    if (text !== '') {
      lastMs = performance.now();
      firstMs ??= lastMs;
      completion += text;
      onText(text);
    }
    tokens = chunk.usage?.completion_tokens ?? tokens;
  }
  const seconds = (lastMs - (firstMs ?? lastMs)) / 1000;
  return {
    completion,
    tokens,
    decodeTokensPerSecond: seconds > 0 ? Number(((tokens - 1) / seconds).toFixed(1)) : 0,
  };
};

async function* serverSentEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<Chunk> {
  const decoder = new TextDecoder();
  let pending = '';
  for await (const bytes of body) {
    pending += decoder.decode(bytes, { stream: true });
    const lines = pending.split('\n');
    pending = lines.pop() ?? '';
    for (const line of lines) {
      if (!line.startsWith('data: ') || line === 'data: [DONE]') continue;
      yield JSON.parse(line.slice('data: '.length)) as Chunk;
    }
  }
}
