import { renameSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Clock } from '../../base/clock.ts';
import { errorMessage } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { EngineStatus } from '../engine.ts';

const refreshMs = 250;

const statusFile = (runDirectory: string): string => join(runDirectory, 'status.json');

/** Undefined before the rank has written one. */
export const readStatusFile = async (runDirectory: string): Promise<EngineStatus | undefined> => {
  try {
    return JSON.parse(await readFile(statusFile(runDirectory), 'utf8')) as EngineStatus;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
};

/**
 * The rank's word to its daemon: replaced atomically at each change, and four times a second with fresh counts, so
 * that a process that hangs can be told from one that has nothing new to say.
 */
export class StatusFile {
  readonly #file: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #counts: () => Partial<EngineStatus>;
  #status: EngineStatus = { phase: 'Starting', pid: process.pid };
  #isWritable = true;

  constructor(options: {
    runDirectory: string;
    clock: Clock;
    logger: Logger;
    /** What changes by itself. */
    counts: () => Partial<EngineStatus>;
  }) {
    this.#file = statusFile(options.runDirectory);
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#counts = options.counts;
  }

  start(): void {
    this.#write();
    this.#clock.after(refreshMs, () => this.start());
  }

  set(change: Partial<EngineStatus>): void {
    this.#status = { ...this.#status, ...change };
    this.#write();
  }

  /** A disk that is full must not end a rank that serves: the next write may work. */
  #write(): void {
    const text = JSON.stringify({ ...this.#status, ...this.#counts() });
    const draft = `${this.#file}.tmp`;
    try {
      writeFileSync(draft, text, { mode: 0o600 });
      renameSync(draft, this.#file);
      this.#isWritable = true;
    } catch (error) {
      if (this.#isWritable) {
        const reason = errorMessage(error);
        this.#logger.warn({ file: this.#file, reason }, 'could not write the status');
      }
      this.#isWritable = false;
    }
  }
}
