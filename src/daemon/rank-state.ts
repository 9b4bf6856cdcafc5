import type { ErrorCode } from '../base/errors.ts';
import { EspalierError, errorMessage } from '../base/errors.ts';
import type { EngineStatus } from '../engines/engine.ts';
import type { ProcessExit } from '../engines/process.ts';
import type { PhaseDeadlines, RankAssignment, RankError, RankState } from '../nodedoc/types.ts';

/** Longest message in a report. */
const maxMessageLength = 4_000;

/** State of a rank whose process runs. Rank 0 is Ready only when a token came through all ranks. */
export const stateOf = (
  status: EngineStatus | undefined,
  { rank, isProven }: { rank: number; isProven: boolean },
): RankState => {
  switch (status?.phase) {
    case 'Serving':
      if (rank > 0 || isProven) return 'Ready';
      return status.endpointUrl === undefined ? 'Loading' : 'Canary';
    case 'Loading':
      return 'Loading';
    default:
      return 'Rendezvous';
  }
};

/** Deadline of a phase that the process itself must get through. The canary has its own. */
export const phaseDeadline = (
  state: RankState,
  deadlines: PhaseDeadlines,
): { limitMs: number; code: ErrorCode; message: string } | undefined => {
  if (state === 'Rendezvous') {
    return {
      limitMs: deadlines.rendezvousMs,
      code: 'RendezvousDeadlineExceeded',
      message: 'the ranks of the group did not meet',
    };
  }
  if (state === 'Loading') {
    return {
      limitMs: deadlines.loadMs,
      code: 'LoadDeadlineExceeded',
      message: 'the weights were not loaded',
    };
  }
  return undefined;
};

/** What went wrong, for the report: the engine's own words where it left some. */
export const toRankError = (error: unknown): RankError => {
  if (error instanceof RankFailure) return error.rankError;
  const isOurs = error instanceof EspalierError;
  const { file, guiltyRank, link } = isOurs ? error.facts : {};
  return {
    code: isOurs ? error.code : 'Internal',
    message: errorMessage(error).slice(0, maxMessageLength),
    terminal: isOurs && error.kind === 'terminal',
    ...(typeof file === 'string' && { file }),
    ...(typeof guiltyRank === 'number' && guiltyRank >= 0 && { guiltyRank }),
    ...(typeof link === 'string' && link !== '' && { link }),
  };
};

/** An error whose words are the engine's. */
export class RankFailure extends Error {
  readonly rankError: RankError;

  constructor(rankError: RankError) {
    super(rankError.message);
    this.name = 'RankFailure';
    this.rankError = rankError;
  }
}

/** The process is gone: `exit` undefined when it was not our child, so that nobody told us how. */
export const exitFailure = (
  assignment: RankAssignment,
  exit: ProcessExit | undefined,
  status: EngineStatus | undefined,
): RankFailure => {
  const how = exit?.signal
    ? `was ended by ${exit.signal}`
    : exit?.exitCode !== undefined
      ? `exited with code ${exit.exitCode}`
      : 'is gone; how it ended is not known, because the daemon was restarted meanwhile';
  const said = engineError(status);
  return new RankFailure({
    ...(said ?? {
      code: 'RankExited',
      message: `the process of rank ${assignment.rank} ${how}; its log says more`,
      terminal: false,
    }),
    ...exit,
  });
};

/** The engine's last error, held to what a report may carry; native code says -1 and "" for nothing. */
export const engineError = (status: EngineStatus | undefined): RankError | undefined => {
  if (!status?.error) return undefined;
  const { code, message, terminal, guiltyRank, link, file } = status.error;
  return {
    code: (code || 'Internal').slice(0, 128),
    message: message.slice(0, maxMessageLength),
    terminal: terminal,
    ...(Number.isInteger(guiltyRank) && guiltyRank! >= 0 && { guiltyRank: guiltyRank! }),
    ...(link && { link: link.slice(0, 64) }),
    ...(file && { file: file.slice(0, 4096) }),
  };
};
