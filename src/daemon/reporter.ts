import { canonicalJson } from '../base/canonical-json.ts';
import { delay } from '../base/clock.ts';
import type { Clock } from '../base/clock.ts';
import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { backoffMs } from '../base/random.ts';
import type { Random } from '../base/random.ts';
import type { NodeReport } from '../nodedoc/types.ts';
import type { HubClient } from './hub-client.ts';
import type { DaemonTiming } from './timing.ts';

interface Reporter {
  /** Something changed: report soon. */
  wake(): void;
  reportNow(): Promise<void>;
  /** Reports at each change and at least every `heartbeatMs`, until aborted. */
  run(): Promise<void>;
}

export const createReporter = (options: {
  clock: Clock;
  logger: Logger;
  random: Random;
  timing: DaemonTiming;
  client: HubClient;
  current: () => NodeReport;
  signal: AbortSignal;
}): Reporter => {
  const { clock, logger, random, timing, client, current, signal } = options;
  let news = new AbortController();
  let sent = { text: '', atMs: Number.NEGATIVE_INFINITY };

  const reportNow = async (): Promise<void> => {
    const report = current();
    await client.report(report, signal);
    sent = { text: canonicalJson(report), atMs: clock.monotonicMs() };
  };

  const isDue = (): boolean =>
    clock.monotonicMs() - sent.atMs >= timing.heartbeatMs || canonicalJson(current()) !== sent.text;

  return {
    wake: () => news.abort(),
    reportNow,
    run: async () => {
      let attempt = 0;
      signal.addEventListener('abort', () => news.abort(), { once: true });
      while (!signal.aborted) {
        // Before we look: what changes from here on wakes the next wait.
        news = new AbortController();
        try {
          if (isDue()) await reportNow();
          attempt = 0;
          await delay(clock, timing.reportSpacingMs, signal);
          await delay(clock, timing.reportRefreshMs, news.signal);
        } catch (error) {
          if (signal.aborted) return;
          if (attempt === 0)
            logger.warn({ reason: errorMessage(error) }, 'cannot report to the hub');
          await delay(
            clock,
            backoffMs(attempt, { baseMs: 100, maxMs: timing.retryMaxMs }, random),
            signal,
          );
          attempt += 1;
        }
      }
    },
  };
};
