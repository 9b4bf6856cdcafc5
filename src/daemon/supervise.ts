import { delay } from '../base/clock.ts';
import { EspalierError, errorMessage } from '../base/errors.ts';
import type { EngineStatus } from '../engines/engine.ts';
import type { ProcessExit } from '../engines/process.ts';
import type { RankAssignment, RankState } from '../nodedoc/types.ts';
import { keepProving } from './canary.ts';
import { createFreshness } from './freshness.ts';
import { rotateLog } from './log-rotation.ts';
import type { RankContext } from './rank-context.ts';
import { RankFailure, engineError, exitFailure, phaseDeadline, stateOf } from './rank-state.ts';
import type { RankProcess } from './terminate.ts';

interface SuperviseOptions {
  assignment: RankAssignment;
  context: RankContext;
  process: RankProcess;
  /** Undefined for an adopted process: only a parent is told how its child ended. */
  exited: Promise<ProcessExit> | undefined;
  /** A token came through all ranks under an earlier daemon. */
  isProven: boolean;
  signal: AbortSignal;
  /** After each look. */
  onLook: (status: EngineStatus | undefined, state: RankState) => void;
  onProven: () => void;
  onResidentBytes: (bytes: number | undefined) => void;
}

/**
 * Watches a rank's process: that it lives, gets through its phases in time, keeps saying how it is, and, on
 * rank 0, that tokens come through all ranks. Never resolves: throws what ended the rank, or the abort.
 */
export const supervise = async (options: SuperviseOptions): Promise<never> => {
  const { context, process, signal } = options;
  const { clock, timing, runDirectory } = context;
  const news = newsOf(options);
  const requireFresh = createFreshness(clock, runDirectory, timing.statusStaleMs);
  const requireInTime = phaseClock(options);
  const proof = startProof(options, () => news.wake());
  let status: EngineStatus | undefined;
  let lastState: RankState | undefined;
  let housekeepingDueMs = 0;
  try {
    for (;;) {
      signal.throwIfAborted();
      news.reset();
      status = await look(options, status, news.exit);
      const state = stateOf(status, { ...options.assignment, isProven: proof.isProven() });
      // Before the news of a state, so that its report has the memory of that state.
      if (state !== lastState || clock.monotonicMs() >= housekeepingDueMs) {
        lastState = state;
        housekeepingDueMs = clock.monotonicMs() + timing.housekeepingMs;
        options.onResidentBytes(await context.processes.residentBytes(process.pid));
        await boundLog(context);
      }
      options.onLook(status, state);
      if (status?.phase === 'Serving') await requireFresh();
      requireInTime(state);
      proof.check(status);
      await news.pause();
    }
  } finally {
    proof.stop();
  }
};

/** A tick, cut short when the process ends, a canary fails, or we are to stop. */
const newsOf = ({ context, exited, signal }: SuperviseOptions) => {
  let controller = new AbortController();
  let exit: ProcessExit | undefined;
  const remember = async (coming: Promise<ProcessExit>): Promise<void> => {
    exit = await coming;
    controller.abort();
  };
  if (exited) void remember(exited);
  signal.addEventListener('abort', () => controller.abort(), { once: true });
  return {
    wake: () => controller.abort(),
    exit: () => exit,
    reset: () => {
      controller = new AbortController();
      if (exit || signal.aborted) controller.abort();
    },
    pause: async () => delay(context.clock, context.timing.tickMs, controller.signal),
  };
};

/** Reads how the process is. Throws when it is gone or says that it has failed. */
const look = async (
  { assignment, context, process, exited }: SuperviseOptions,
  last: EngineStatus | undefined,
  exitOf: () => ProcessExit | undefined,
): Promise<EngineStatus | undefined> => {
  const { engine, processes, runDirectory, clock } = context;
  const isAlive = !exitOf() && (await processes.isAlive(process.pid, process.startTime));
  // A status is replaced atomically; one that cannot be read counts as none.
  const status = (await engine?.readStatus(runDirectory).catch(() => undefined)) ?? last;
  if (!isAlive) {
    // We hear of a child's exit a moment after its process is gone.
    if (exited) await Promise.race([exited, delay(clock, 1_000)]);
    throw exitFailure(assignment, exitOf(), status);
  }
  if (status?.phase !== 'Failed') return status;
  throw new RankFailure(
    engineError(status) ?? {
      code: 'RankExited',
      message: 'the engine says that it has failed, but not why; its log says more',
      terminal: false,
    },
  );
};

/** Time in each phase, from its first look: an engine that goes back and forth gains nothing. */
const phaseClock = ({ assignment, context: { clock } }: SuperviseOptions) => {
  const enteredAtMs = new Map<RankState, number>();
  return (state: RankState): void => {
    const nowMs = clock.monotonicMs();
    const sinceMs = enteredAtMs.get(state) ?? nowMs;
    enteredAtMs.set(state, sinceMs);
    const deadline = phaseDeadline(state, assignment.deadlines);
    if (!deadline || nowMs - sinceMs <= deadline.limitMs) return;
    const { code, message, limitMs } = deadline;
    throw new EspalierError(code, `${message} within ${limitMs / 1000} s`, { limitMs });
  };
};

/** The canary of rank 0, beside the looks, because it may take long. */
const startProof = (options: SuperviseOptions, wake: () => void) => {
  const { assignment, context } = options;
  const halt = new AbortController();
  let { isProven } = options;
  let isRunning = false;
  let failure: unknown;
  return {
    isProven: () => isProven,
    stop: () => halt.abort(),
    /** Starts once there is somebody to ask. Throws CanaryFailed. */
    check: (status: EngineStatus | undefined): void => {
      if (failure) throw failure;
      const { engine, clock, timing } = context;
      const endpointUrl = status?.phase === 'Serving' ? status.endpointUrl : undefined;
      if (isRunning || assignment.rank > 0 || !endpointUrl || !engine) return;
      isRunning = true;
      keepProving({
        clock,
        livenessMs: timing.livenessMs,
        engine,
        assignment,
        endpointUrl,
        isProven,
        signal: halt.signal,
        onProven: () => {
          isProven = true;
          options.onProven();
          wake();
        },
      }).catch((error: unknown) => {
        failure = error;
        wake();
      });
    },
  };
};

const boundLog = async ({ logFile, logger }: RankContext): Promise<void> => {
  await rotateLog(logFile).catch((error: unknown) => {
    logger.warn({ file: logFile, reason: errorMessage(error) }, 'could not rotate a log');
  });
};
