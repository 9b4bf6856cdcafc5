import type { Clock } from '../base/clock.ts';
import { EspalierError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Engine } from '../engines/engine.ts';
import type { NodeDocument } from '../nodedoc/types.ts';
import { runDirectories } from './data-directory.ts';
import type { DataDirectory } from './data-directory.ts';
import type { LiveProcess, ProcessTable } from './host/host.ts';
import { readRankRecord, removeRunDirectory } from './rank-record.ts';
import type { RankRecord } from './rank-record.ts';
import { RankFailure, exitFailure } from './rank-state.ts';
import { terminate } from './terminate.ts';
import type { RankProcess } from './terminate.ts';
import type { DaemonTiming } from './timing.ts';

/** For a process whose assignment is lost. */
const strayGraceMs = 5_000;

interface AdoptOptions {
  clock: Clock;
  logger: Logger;
  timing: DaemonTiming;
  processes: ProcessTable;
  bootId: string;
  directory: DataDirectory;
  engines: readonly Engine[];
}

interface Leftover {
  record: RankRecord;
  /** Still runs. */
  process?: RankProcess;
  /** Why it does not. */
  failure?: Error;
}

/**
 * What an earlier daemon left: ranks that still run, and ranks that ended and that the document still
 * names, so that their failure is reported instead of a second start under one id. Everything else is
 * cleared away: processes without a record, records that nobody needs.
 */
export const findLeftovers = async (
  options: AdoptOptions,
  document: NodeDocument | undefined,
): Promise<Leftover[]> => {
  const live = await options.processes.list();
  const leftovers: Leftover[] = [];
  const strays = new Set(ourRunDirectories(live, options.directory));
  for (const runDirectory of await runDirectories(options.directory)) {
    const record = await readRankRecord(runDirectory);
    const leftover = record && (await judge(record, runDirectory, live, options, document));
    if (leftover) {
      leftovers.push(leftover);
      strays.delete(runDirectory);
    } else {
      strays.add(runDirectory);
    }
  }
  for (const runDirectory of strays) await clear(runDirectory, live, options);
  return leftovers;
};

const judge = async (
  record: RankRecord,
  runDirectory: string,
  live: LiveProcess[],
  { bootId, logger, engines }: AdoptOptions,
  document: NodeDocument | undefined,
): Promise<Leftover | undefined> => {
  const { assignment } = record;
  const isSameBoot = record.bootId === bootId;
  const found = isSameBoot ? findProcess(record, runDirectory, live) : undefined;
  if (found) {
    logger.info({ rank: assignment.id, rankPid: found.pid }, 'adopted a running rank');
    return { record, process: { pid: found.pid, startTime: found.startTime } };
  }
  const isWanted = !document || document.ranks.some(({ id }) => id === assignment.id);
  if (!isWanted) return undefined;
  if (record.failure) return { record, failure: new RankFailure(record.failure) };
  // The daemon died before it started the process: as good as new.
  if (!record.process) return undefined;
  if (isSameBoot) {
    const engine = engines.find(({ name }) => name === assignment.engine.name);
    const status = await engine?.readStatus(runDirectory).catch(() => undefined);
    return { record, failure: exitFailure(assignment, undefined, status) };
  }
  // A rank that is a whole group can start again by itself; others must meet at a new address.
  return assignment.worldSize === 1 ? undefined : { record, failure: hostRebooted() };
};

/** The process of the record or, when the daemon died before it wrote the pid, the one that bears its mark. */
const findProcess = (
  record: RankRecord,
  runDirectory: string,
  live: LiveProcess[],
): LiveProcess | undefined => {
  const { process } = record;
  return process
    ? live.find(({ pid, startTime }) => pid === process.pid && startTime === process.startTime)
    : leaderOf(runDirectory, live);
};

const leaderOf = (runDirectory: string, live: LiveProcess[]): LiveProcess | undefined =>
  live.find((one) => one.runDirectory === runDirectory && one.pid === one.groupId);

const ourRunDirectories = (live: LiveProcess[], { ranksDirectory }: DataDirectory): string[] =>
  live.flatMap(({ runDirectory }) =>
    runDirectory?.startsWith(`${ranksDirectory}/`) ? [runDirectory] : [],
  );

const clear = async (
  runDirectory: string,
  live: LiveProcess[],
  options: AdoptOptions,
): Promise<void> => {
  const leader = leaderOf(runDirectory, live);
  options.logger.info(
    { runDirectory, leaderPid: leader?.pid },
    'clearing what an earlier daemon left',
  );
  await terminate({
    ...options,
    runDirectory,
    process: leader,
    graceMs: strayGraceMs,
    onUnkillable: (pids) =>
      options.logger.error({ pids, runDirectory }, 'process outlived SIGKILL'),
  });
  await removeRunDirectory(runDirectory);
};

const hostRebooted = (): EspalierError =>
  new EspalierError(
    'HostRebooted',
    'this host has booted again since the rank started; its group starts anew once the control plane says so',
  );
