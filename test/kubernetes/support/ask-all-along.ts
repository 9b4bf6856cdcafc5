import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Asks an OpenAI-compatible endpoint (ending in /v1) for completions, one after the other, until stopped. `stop`
 * gives the HTTP status of every answer, and rejects if one never came.
 */
export const askAllAlong = (endpoint: string, model: string): { stop: () => Promise<number[]> } => {
  const over = new AbortController();
  const ask = async (): Promise<number[]> => {
    const statuses: number[] = [];
    while (!over.signal.aborted) {
      const response = await fetch(`${endpoint}/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model, prompt: 'Once', max_tokens: 2, temperature: 0 }),
        signal: AbortSignal.timeout(15_000),
      });
      await response.arrayBuffer();
      statuses.push(response.status);
      await sleep(100);
    }
    return statuses;
  };
  const asking = ask();
  // Judged when it is stopped.
  asking.catch(() => undefined);
  return {
    stop: async () => {
      over.abort();
      return asking;
    },
  };
};
