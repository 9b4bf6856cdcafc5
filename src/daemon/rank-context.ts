import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Engine } from '../engines/engine.ts';
import type { RankError } from '../nodedoc/types.ts';
import type { ProcessTable } from './host/host.ts';
import type { DaemonTiming } from './timing.ts';

/** What a rank works with. */
export interface RankContext {
  clock: Clock;
  logger: Logger;
  timing: DaemonTiming;
  processes: ProcessTable;
  bootId: string;
  /** Undefined: this node has no engine of that name. */
  engine: Engine | undefined;
  runDirectory: string;
  logFile: string;
  /** Resolves once the ranks that leave this node are gone and their memory is free. */
  room: (signal: AbortSignal) => Promise<void>;
  onChange: () => void;
  onStaged: (uri: string, result: { sizeBytes: number } | RankError) => void;
}
