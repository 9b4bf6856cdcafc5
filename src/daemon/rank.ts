import { mkdir } from 'node:fs/promises';
import { delay } from '../base/clock.ts';
import type { Clock } from '../base/clock.ts';
import { EspalierError, errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Engine, EngineStatus } from '../engines/engine.ts';
import { startDetached } from '../engines/process.ts';
import type { ProcessExit } from '../engines/process.ts';
import type { RankAssignment, RankError, RankReport, RankState } from '../nodedoc/types.ts';
import { keepProving } from './canary.ts';
import { within } from './deadline.ts';
import { createFreshness } from './freshness.ts';
import { runDirectoryVariable } from './host/host.ts';
import type { ProcessTable } from './host/host.ts';
import { rotateLog } from './log-rotation.ts';
import { makeRunDirectory, removeRunDirectory, writeRankRecord } from './rank-record.ts';
import type { RankRecord } from './rank-record.ts';
import { rankReport } from './rank-report.ts';
import { RankFailure, engineError, exitFailure, phaseDeadline } from './rank-state.ts';
import { stateOf, toRankError } from './rank-state.ts';
import { terminate } from './terminate.ts';
import type { RankProcess } from './terminate.ts';
import type { DaemonTiming } from './timing.ts';

export interface RankContext {
  clock: Clock;
  logger: Logger;
  timing: DaemonTiming;
  processes: ProcessTable;
  bootId: string;
  engine: Engine | undefined;
  runDirectory: string;
  logFile: string;
  /** Resolves once the ranks that leave this node are gone and their memory is free. */
  room(signal: AbortSignal): Promise<void>;
  onChange(): void;
  onStaged(uri: string, result: { sizeBytes: number } | RankError): void;
}

/**
 * One rank on this node, from its assignment to its last process. Goes forward only: a rank that has
 * failed stays Failed, because its group starts again under a new id. All waits end at `stop`.
 */
export class Rank {
  #assignment: RankAssignment;
  readonly #context: RankContext;
  readonly #halt = new AbortController();
  #flow: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;
  #wake = new AbortController();
  #state: RankState = 'Pending';
  #error: RankError | undefined;
  #process: RankProcess | undefined;
  #exit: ProcessExit | undefined;
  #status: EngineStatus | undefined;
  #residentBytes: number | undefined;
  #isProven = false;

  constructor(assignment: RankAssignment, context: RankContext) {
    this.#assignment = assignment;
    this.#context = context;
  }

  get id(): string {
    return this.#assignment.id;
  }

  /** On its way out: stopping, or gone. */
  get isLeaving(): boolean {
    return this.#stopped !== undefined;
  }

  start(): void {
    this.#flow = this.#run(async () => this.#launch());
  }

  /** Takes over a process that an earlier daemon started, as it is. */
  adopt(process: RankProcess, record: RankRecord): void {
    this.#process = process;
    this.#isProven = record.isProven ?? false;
    this.#flow = this.#run(async () => this.#supervise(process));
  }

  /** Takes over a rank that has failed, or ended while no daemon ran. */
  adoptFailed(error: unknown): void {
    this.#flow = this.#fail(error);
  }

  /** Everything but the rendezvous address is fixed by the id. */
  update(assignment: RankAssignment): void {
    this.#assignment = assignment;
    this.#wakeUp();
  }

  /** Resolves when the first look at an adopted process is done, so that no report comes before it. */
  async settled(): Promise<void> {
    if (this.#process && !this.#status) await this.#look(this.#process).catch(() => {});
  }

  /** Ends the process and clears the run directory. Resolves when both are gone. */
  async stop(): Promise<void> {
    this.#stopped ??= this.#leave();
    return this.#stopped;
  }

  /** Lets go of the process without touching it, for the next daemon to adopt. */
  async release(): Promise<void> {
    this.#halt.abort();
    this.#wakeUp();
    await this.#flow;
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
    if (!engine) throw this.#engineMissing();
    await this.#stage(engine);
    this.#set('Pending');
    await room(this.#halt.signal);
    await this.#addressKnown();
    await this.#supervise(await this.#spawn(engine));
  }

  async #stage(engine: Engine): Promise<void> {
    const { clock, onStaged } = this.#context;
    const { model, deadlines } = this.#assignment;
    this.#set('Staging');
    try {
      const options = {
        limitMs: deadlines.stageMs,
        signal: this.#halt.signal,
        code: 'StageDeadlineExceeded' as const,
        message: `the weights of ${model.uri} were not checked`,
      };
      const staged = await within(clock, options, async (signal) =>
        engine.stage(this.#assignment, signal),
      );
      onStaged(model.uri, staged);
    } catch (error) {
      if (!this.#halt.signal.aborted) onStaged(model.uri, toRankError(error));
      throw error;
    }
  }

  /** Rank 0 makes the address; it may stage as long as we may, then the group has to meet. */
  async #addressKnown(): Promise<void> {
    const { stageMs, rendezvousMs } = this.#assignment.deadlines;
    const options = {
      limitMs: stageMs + rendezvousMs,
      signal: this.#halt.signal,
      code: 'RendezvousDeadlineExceeded' as const,
      message: 'the control plane did not say where rank 0 waits',
    };
    await within(this.#context.clock, options, async (signal) => {
      while (this.#assignment.rank > 0 && this.#assignment.rendezvous.address === null) {
        await this.#pause(signal);
      }
    });
  }

  /**
   * The record comes before the process and the process carries the name of its run directory, so that a
   * daemon that dies at any point in between leaves nothing that the next one does not find.
   */
  async #spawn(engine: Engine): Promise<RankProcess> {
    const { runDirectory, logFile, processes, logger } = this.#context;
    await makeRunDirectory(runDirectory);
    await this.#writeRecord();
    const command = await engine.command(this.#assignment, runDirectory);
    this.#halt.signal.throwIfAborted();
    const marked = {
      ...command,
      env: { ...command.env, [runDirectoryVariable]: runDirectory, ESPALIER_RANK_ID: this.id },
    };
    const child = await startDetached(marked, { workingDirectory: runDirectory, logFile });
    void child.exited.then((exit) => {
      this.#exit = exit;
      this.#wakeUp();
    });
    const live = await processes.find(child.pid);
    const process = { pid: child.pid, startTime: live?.startTime ?? '' };
    this.#process = process;
    logger.info({ rank: this.id, pid: process.pid }, 'rank process started');
    await this.#writeRecord().catch((error: unknown) => this.#warnUnrecorded(error));
    return process;
  }

  /** Returns never: throws what ended the rank, or the halt. */
  async #supervise(process: RankProcess): Promise<never> {
    const { clock, timing, runDirectory } = this.#context;
    const proof = new AbortController();
    const enteredAtMs = new Map<RankState, number>();
    const requireFresh = createFreshness(clock, runDirectory, timing.statusStaleMs);
    let proofError: unknown;
    let isProving = false;
    let housekeepingDueMs = 0;
    try {
      for (;;) {
        await this.#look(process);
        if (proofError) throw proofError;
        if (this.#status?.phase === 'Serving') await requireFresh();
        this.#requireInTime(enteredAtMs);
        if (!isProving && this.#mustProve()) {
          isProving = true;
          this.#prove(proof.signal).catch((error: unknown) => {
            proofError = error;
            this.#wakeUp();
          });
        }
        if (clock.monotonicMs() >= housekeepingDueMs) {
          housekeepingDueMs = clock.monotonicMs() + timing.housekeepingMs;
          await this.#keepHouse(process);
        }
        await this.#pause(this.#halt.signal);
      }
    } finally {
      proof.abort();
    }
  }

  /** Reads how the process is. Throws when it is gone or says that it has failed. */
  async #look(process: RankProcess): Promise<void> {
    const { engine, processes, runDirectory } = this.#context;
    const isAlive = !this.#exit && (await processes.isAlive(process.pid, process.startTime));
    // A status is replaced atomically; one that cannot be read counts as none.
    this.#status = (await engine?.readStatus(runDirectory).catch(() => undefined)) ?? this.#status;
    if (!isAlive) throw exitFailure(this.#assignment, await this.#exitOf(), this.#status);
    if (this.#status?.phase === 'Failed') {
      throw new RankFailure(
        engineError(this.#status) ?? {
          code: 'RankExited',
          message: 'the engine says that it has failed, but not why; its log says more',
          terminal: false,
        },
      );
    }
    const { rank } = this.#assignment;
    if (!this.isLeaving && !this.#error)
      this.#set(stateOf(this.#status, { rank, isProven: this.#isProven }));
  }

  /** A child's exit is told a moment after its process is gone; of an adopted one we never hear. */
  async #exitOf(): Promise<ProcessExit | undefined> {
    const { clock } = this.#context;
    for (let tries = 0; !this.#exit && tries < 10; tries += 1) await delay(clock, 10);
    return this.#exit;
  }

  #requireInTime(enteredAtMs: Map<RankState, number>): void {
    const { clock } = this.#context;
    const nowMs = clock.monotonicMs();
    const sinceMs = enteredAtMs.get(this.#state) ?? nowMs;
    enteredAtMs.set(this.#state, sinceMs);
    const deadline = phaseDeadline(this.#state, this.#assignment.deadlines);
    if (!deadline || nowMs - sinceMs <= deadline.limitMs) return;
    const { code, message, limitMs } = deadline;
    throw new EspalierError(code, `${message} within ${limitMs / 1000} s`, { limitMs });
  }

  #mustProve(): boolean {
    const { phase, endpointUrl } = this.#status ?? {};
    return this.#assignment.rank === 0 && phase === 'Serving' && endpointUrl !== undefined;
  }

  async #prove(signal: AbortSignal): Promise<never> {
    const { clock, timing, engine } = this.#context;
    return keepProving({
      clock,
      livenessMs: timing.livenessMs,
      engine: engine!,
      assignment: this.#assignment,
      endpointUrl: this.#status!.endpointUrl!,
      isProven: this.#isProven,
      signal,
      onProven: () => {
        this.#isProven = true;
        this.#wakeUp();
        this.#writeRecord().catch((error: unknown) => this.#warnUnrecorded(error));
      },
    });
  }

  async #keepHouse(process: RankProcess): Promise<void> {
    const { processes, logFile, logger } = this.#context;
    this.#residentBytes = await processes.residentBytes(process.pid);
    await rotateLog(logFile).catch((error: unknown) => {
      logger.warn({ file: logFile, reason: errorMessage(error) }, 'could not rotate a log');
    });
  }

  async #fail(error: unknown): Promise<void> {
    const { runDirectory, logger } = this.#context;
    this.#error = toRankError(error);
    logger.warn(
      { rank: this.id, code: this.#error.code, reason: this.#error.message },
      'rank failed',
    );
    await this.#end();
    // Without this a restarted daemon would take the rank for one that never ran.
    await mkdir(runDirectory, { recursive: true, mode: 0o700 })
      .then(async () => this.#writeRecord())
      .catch((reason: unknown) => this.#warnUnrecorded(reason));
    this.#set('Failed');
  }

  async #leave(): Promise<void> {
    this.#halt.abort();
    this.#wakeUp();
    this.#set('Stopping');
    await this.#flow;
    await this.#end();
    await removeRunDirectory(this.#context.runDirectory).catch((error: unknown) => {
      this.#warnUnrecorded(error);
    });
    this.#set('Stopped');
  }

  async #end(): Promise<void> {
    const { clock, timing, processes, runDirectory, logger } = this.#context;
    if (this.#process) this.#set('Stopping');
    await terminate({
      clock,
      timing,
      processes,
      runDirectory,
      process: this.#process,
      graceMs: this.#assignment.deadlines.stopGraceMs,
      onUnkillable: (pids) => {
        const message = `processes ${pids.join(', ')} outlived SIGKILL: they hang in the kernel, and only a reboot of this host ends them`;
        this.#error = { code: 'RankUnkillable', message, terminal: false };
        logger.error({ rank: this.id, pids }, 'rank process outlived SIGKILL');
        this.#context.onChange();
      },
    });
    this.#process = undefined;
  }

  async #writeRecord(): Promise<void> {
    const { runDirectory, bootId } = this.#context;
    await writeRankRecord(runDirectory, {
      assignment: this.#assignment,
      bootId,
      ...(this.#process && { process: this.#process }),
      ...(this.#isProven && { isProven: true }),
      ...(this.#error && { failure: this.#error }),
    });
  }

  #warnUnrecorded(error: unknown): void {
    this.#context.logger.warn(
      { rank: this.id, reason: errorMessage(error) },
      'could not update the record of a rank',
    );
  }

  #engineMissing(): EspalierError {
    const { name } = this.#assignment.engine;
    return new EspalierError(
      'EngineUnavailable',
      `this node has no engine "${name}": install it, or let the deployment use another one`,
      { engine: name },
    );
  }

  #set(state: RankState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#context.logger.info({ rank: this.id, state }, 'rank state');
    this.#context.onChange();
  }

  /** One tick, or until there is news. */
  async #pause(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#wake.signal.aborted) this.#wake = new AbortController();
    await delay(this.#context.clock, this.#context.timing.tickMs, this.#wake.signal);
    signal.throwIfAborted();
  }

  #wakeUp(): void {
    this.#wake.abort();
  }
}
