import { mkdir } from 'node:fs/promises';
import { errorMessage } from '../base/errors.ts';
import type { EngineStatus } from '../engines/engine.ts';
import type { ProcessExit } from '../engines/process.ts';
import type { RankAssignment, RankError, RankReport, RankState } from '../nodedoc/types.ts';
import { engineMissing, meetingPoint, spawnRank, stage } from './launch.ts';
import type { RankContext } from './rank-context.ts';
import { removeRunDirectory, writeRankRecord } from './rank-record.ts';
import type { RankRecord } from './rank-record.ts';
import { rankReport } from './rank-report.ts';
import { toRankError } from './rank-state.ts';
import { supervise } from './supervise.ts';
import { terminate } from './terminate.ts';
import type { RankProcess } from './terminate.ts';

/**
 * One rank on this node, from its assignment to its last process. Goes forward only: a rank that has
 * failed stays Failed, because its group starts again under a new id. All waits end at `stop`.
 */
export class Rank {
  #assignment: RankAssignment;
  readonly #context: RankContext;
  readonly #halt = new AbortController();
  #isUnderWay = false;
  #flow: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;
  #state: RankState = 'Pending';
  #error: RankError | undefined;
  #process: RankProcess | undefined;
  #status: EngineStatus | undefined;
  #residentBytes: number | undefined;
  #isProven = false;
  /** One write of the record after the other. */
  #written: Promise<void> = Promise.resolve();

  constructor(assignment: RankAssignment, context: RankContext) {
    this.#assignment = assignment;
    this.#context = context;
  }

  get id(): string {
    return this.#assignment.id;
  }

  /**
   * Whether this is the same start of the same rank. Ids begin again when a deployment is deleted and made
   * anew under its name; the group's secret does not.
   */
  isOf(assignment: RankAssignment): boolean {
    return (
      this.id === assignment.id &&
      this.#assignment.rendezvous.secret === assignment.rendezvous.secret
    );
  }

  /** On its way out: stopping, or gone. */
  get isLeaving(): boolean {
    return this.#stopped !== undefined;
  }

  /** Does nothing when it was started or adopted before. */
  start(): void {
    if (this.#isUnderWay) return;
    this.#isUnderWay = true;
    this.#flow = this.#run(async () => this.#launch());
  }

  /** Takes over a process that an earlier daemon started, as it is. Resolves after the first look at it. */
  async adopt(process: RankProcess, record: RankRecord): Promise<void> {
    this.#isUnderWay = true;
    this.#process = process;
    this.#isProven = record.isProven ?? false;
    await new Promise<void>((resolve) => {
      this.#flow = this.#run(async () => this.#supervise(process, undefined, resolve));
      void this.#flow.then(resolve);
    });
  }

  /** Takes over a rank that has failed, or ended while no daemon ran. */
  adoptFailed(error: unknown): void {
    this.#isUnderWay = true;
    this.#flow = this.#fail(error);
  }

  /** Everything but the rendezvous address is fixed by the id. */
  update(assignment: RankAssignment): void {
    this.#assignment = assignment;
  }

  /** Ends the process and clears the run directory. Resolves when both are gone. */
  async stop(): Promise<void> {
    this.#stopped ??= this.#leave();
    return this.#stopped;
  }

  /** Lets go of the process without touching it, for the next daemon to adopt. */
  async release(): Promise<void> {
    this.#halt.abort();
    await this.#flow;
    await this.#written;
  }

  report(): RankReport {
    return rankReport({
      assignment: this.#assignment,
      state: this.#state,
      process: this.#process,
      status: this.#status,
      residentBytes: this.#residentBytes,
      logPath: this.#context.logFile,
      error: this.#error,
    });
  }

  async #run(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!this.#halt.signal.aborted) await this.#fail(error);
    }
  }

  async #launch(): Promise<void> {
    const { engine, room } = this.#context;
    if (!engine) throw engineMissing(this.#assignment.engine.name);
    const { signal } = this.#halt;
    const options = { context: this.#context, engine, assignment: () => this.#assignment, signal };
    this.#set('Staging');
    await stage(options);
    this.#set('Pending');
    await room(signal);
    await meetingPoint(options);
    const { process, exited } = await spawnRank(options);
    await this.#supervise(process, exited);
  }

  async #supervise(
    process: RankProcess,
    exited: Promise<ProcessExit> | undefined,
    onFirstLook?: () => void,
  ): Promise<never> {
    this.#process = process;
    return supervise({
      assignment: this.#assignment,
      context: this.#context,
      process,
      exited,
      isProven: this.#isProven,
      signal: this.#halt.signal,
      onLook: (status, state) => {
        // The other ranks wait for the address; counters may wait for the next report.
        const isNewAddress = status?.rendezvousAddress !== this.#status?.rendezvousAddress;
        this.#status = status;
        if (!this.isLeaving) this.#set(state);
        if (isNewAddress) this.#context.onChange();
        onFirstLook?.();
      },
      onProven: () => {
        this.#isProven = true;
        this.#written = this.#writeRecord();
      },
      onResidentBytes: (bytes) => {
        this.#residentBytes = bytes;
      },
    });
  }

  async #fail(error: unknown): Promise<void> {
    const { logger } = this.#context;
    this.#error = toRankError(error);
    const { code, message } = this.#error;
    logger.warn({ rank: this.id, code, reason: message }, 'rank failed');
    await this.#end();
    // Without this a restarted daemon would take the rank for one that never ran.
    await this.#written;
    await this.#writeRecord();
    this.#set('Failed');
  }

  async #leave(): Promise<void> {
    this.#halt.abort();
    this.#set('Stopping');
    await this.#flow;
    await this.#end();
    await this.#written;
    const { runDirectory, logger } = this.#context;
    await removeRunDirectory(runDirectory).catch((error: unknown) => {
      logger.warn({ runDirectory, reason: errorMessage(error) }, 'could not clear a run directory');
    });
    this.#set('Stopped');
  }

  async #end(): Promise<void> {
    const { logger, onChange, processes } = this.#context;
    const { pid, startTime } = this.#process ?? {};
    if (pid && startTime && (await processes.isAlive(pid, startTime))) this.#set('Stopping');
    await terminate({
      ...this.#context,
      process: this.#process,
      graceMs: this.#assignment.deadlines.stopGraceMs,
      onUnkillable: (pids) => {
        const message =
          `processes ${pids.join(', ')} outlived SIGKILL: they hang in the kernel, ` +
          'and only a reboot of this host ends them';
        this.#error = { code: 'RankUnkillable', message, terminal: false };
        logger.error({ rank: this.id, pids }, 'rank process outlived SIGKILL');
        onChange();
      },
    });
    this.#process = undefined;
  }

  /** Best effort: what runs is not stopped because a disk is full. */
  async #writeRecord(): Promise<void> {
    const { runDirectory, bootId, logger } = this.#context;
    try {
      await mkdir(runDirectory, { recursive: true, mode: 0o700 });
      await writeRankRecord(runDirectory, {
        assignment: this.#assignment,
        bootId,
        ...(this.#process && { process: this.#process }),
        ...(this.#isProven && { isProven: true }),
        ...(this.#error && { failure: this.#error }),
      });
    } catch (error) {
      const reason = errorMessage(error);
      logger.warn({ rank: this.id, reason }, 'could not update the record of a rank');
    }
  }

  #set(state: RankState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#context.logger.info({ rank: this.id, state }, 'rank state');
    this.#context.onChange();
  }
}
