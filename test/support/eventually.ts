import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits until `probe` returns something other than undefined or false, and returns it. Fails after
 * `timeoutMs` with the last error of the probe, so that a test says what state it was stuck in.
 */
export const eventually = async <T>(
  what: string,
  probe: () => T | Promise<T>,
  { timeoutMs = 90_000, intervalMs = 20 }: { timeoutMs?: number; intervalMs?: number } = {},
): Promise<Exclude<T, undefined | false>> => {
  const deadline = performance.now() + timeoutMs;
  let lastError: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause: lastError });
    }
    await sleep(intervalMs);
  }
};
