import type { Server } from 'node:http';
import type { Clock } from '../base/clock.ts';

const sweepEveryMs = 50;
/** For errors to be written, once what is still under way is ended. */
const cutOffMs = 250;

/**
 * Runs `close`, which refuses new connections and resolves when the old ones are gone. Kept-alive
 * connections go as soon as their answers are complete; after `drainMs` `endRequests` is called, and what
 * is left shortly after that is cut off.
 */
export const drain = async (
  server: Server,
  clock: Clock,
  {
    drainMs,
    close,
    endRequests,
  }: { drainMs: number; close: () => Promise<void>; endRequests: () => void },
): Promise<void> => {
  const sweep = () => {
    server.closeIdleConnections();
    cancelSweep = clock.after(sweepEveryMs, sweep);
  };
  let cancelSweep = clock.after(sweepEveryMs, sweep);
  let cancelEnd = clock.after(drainMs, () => {
    endRequests();
    cancelEnd = clock.after(cutOffMs, () => server.closeAllConnections());
  });
  try {
    await close();
  } finally {
    cancelSweep();
    cancelEnd();
  }
};
