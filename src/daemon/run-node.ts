import { randomInt } from 'node:crypto';
import { systemClock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { seededRandom } from '../base/random.ts';
import { stopSignal } from '../base/stop-signal.ts';
import type { Engine } from '../engines/engine.ts';
import { createDaemon } from './daemon.ts';
import { thisHost } from './host/this-host.ts';
import type { DaemonTiming } from './timing.ts';

export interface RunNodeOptions {
  nodeName: string;
  hubUrl: string;
  dataDirectory: string;
  engines: readonly Engine[];
  logger: Logger;
  daemonVersion: string;
  /** On SIGTERM or SIGINT: end the ranks too, instead of leaving them to the next daemon. */
  stopRanks: boolean;
  timing?: Partial<DaemonTiming>;
}

/**
 * All that `espalier node` does: runs a daemon on this host until SIGTERM or SIGINT, and resolves once it
 * has stopped. Throws what createDaemon's `start` throws.
 */
export const runNode = async (options: RunNodeOptions): Promise<void> => {
  const daemon = createDaemon({
    ...options,
    host: thisHost(),
    clock: systemClock,
    random: seededRandom(randomInt(2 ** 32)),
  });
  // Before the start: a signal that comes meanwhile must not leave half of it behind.
  const signalled = stopSignal();
  await daemon.start();
  const signal = await signalled;
  options.logger.info({ signal, stopRanks: options.stopRanks }, 'node daemon stops');
  await daemon.stop({ ranks: options.stopRanks });
};
