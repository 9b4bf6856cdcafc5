import { delay } from '../base/clock.ts';
import { EspalierError, errorMessage } from '../base/errors.ts';
import type { Engine } from '../engines/engine.ts';
import { startDetached } from '../engines/process.ts';
import type { ProcessExit } from '../engines/process.ts';
import type { RankAssignment } from '../nodedoc/types.ts';
import { within } from './deadline.ts';
import { runDirectoryVariable } from './host/host.ts';
import type { RankContext } from './rank-context.ts';
import { makeRunDirectory, writeRankRecord } from './rank-record.ts';
import { toRankError } from './rank-state.ts';
import type { RankProcess } from './terminate.ts';

interface LaunchOptions {
  context: RankContext;
  engine: Engine;
  /** Read anew each time: the rendezvous address comes later. */
  assignment: () => RankAssignment;
  signal: AbortSignal;
}

/** Checks the weights. Throws StageDeadlineExceeded, or what the engine found wrong. */
export const stage = async (options: LaunchOptions): Promise<void> => {
  const { context, engine, assignment, signal } = options;
  const { model, deadlines } = assignment();
  try {
    const staged = await within(
      context.clock,
      {
        limitMs: deadlines.stageMs,
        signal,
        code: 'StageDeadlineExceeded',
        message: `the weights of ${model.uri} were not checked`,
      },
      async (limited) => engine.stage(assignment(), limited),
    );
    context.onStaged(model.uri, staged);
  } catch (error) {
    if (!signal.aborted) context.onStaged(model.uri, toRankError(error));
    throw error;
  }
};

/** Waits for the address of rank 0, which may stage as long as we may before it makes one. */
export const meetingPoint = async ({
  context,
  assignment,
  signal,
}: LaunchOptions): Promise<void> => {
  const { stageMs, rendezvousMs } = assignment().deadlines;
  await within(
    context.clock,
    {
      limitMs: stageMs + rendezvousMs,
      signal,
      code: 'RendezvousDeadlineExceeded',
      message: 'the control plane did not say where rank 0 waits',
    },
    async (limited) => {
      while (assignment().rank > 0 && assignment().rendezvous.address === null) {
        await delay(context.clock, context.timing.tickMs, limited);
        limited.throwIfAborted();
      }
    },
  );
};

/**
 * Starts the process. The record comes before it, and it bears the name of its run directory, so that a
 * daemon that dies at any point in between leaves nothing that the next one does not find.
 */
export const spawnRank = async ({
  context,
  engine,
  assignment,
  signal,
}: LaunchOptions): Promise<{ process: RankProcess; exited: Promise<ProcessExit> }> => {
  const { runDirectory, logFile, processes, logger, bootId } = context;
  const record = { assignment: assignment(), bootId };
  await makeRunDirectory(runDirectory);
  await writeRankRecord(runDirectory, record);
  const command = await engine.command(assignment(), runDirectory);
  signal.throwIfAborted();
  const env = {
    ...command.env,
    [runDirectoryVariable]: runDirectory,
    ESPALIER_RANK_ID: record.assignment.id,
  };
  const { pid, exited } = await startDetached(
    { ...command, env },
    { workingDirectory: runDirectory, logFile },
  );
  // Gone already: no start time is its own, and the first look finds it so.
  const process = { pid, startTime: (await processes.find(pid))?.startTime ?? '' };
  logger.info({ rank: record.assignment.id, rankPid: pid }, 'rank process started');
  await writeRankRecord(runDirectory, { ...record, process }).catch((error: unknown) => {
    // The mark in its environment still tells whose it is.
    logger.warn(
      { rankPid: pid, reason: errorMessage(error) },
      'could not write down the pid of a rank',
    );
  });
  return { process, exited };
};

export const engineMissing = (name: string): EspalierError =>
  new EspalierError(
    'EngineUnavailable',
    `this node has no engine "${name}": install it, or let the deployment use another one`,
    { engine: name },
  );
