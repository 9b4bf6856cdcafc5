import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mpiLibraryPath } from '../../transport/mpi-library.ts';
import { note } from '../output.ts';
import { RankProcess } from './rank-process.ts';
import type { RankEnd } from './rank-process.ts';

/** A survivor learns of a death within 2 s and is worth hearing: it names the rank, the link and the cause. */
const sayWhyMs = 3_000;
const endMs = 5_000;

interface LaunchOptions {
  ranks: number;
  link?: 'shm' | 'tcp';
  prefix: boolean;
}

/** Runs `program` once per rank until all have ended; the exit code of the first that failed, else 0. */
export const launchRanks = async (
  program: readonly string[],
  { ranks: count, link, prefix }: LaunchOptions,
): Promise<number> => {
  // Only this user may look inside: here rank 0 leaves the port and the secret that it made up.
  const folder = mkdtempSync(join(tmpdir(), 'espalier-launch-'));
  const library = mpiLibraryPath();
  const ranks: RankProcess[] = [];
  const signals = new SignalForwarder(ranks);
  try {
    for (let rank = 0; rank < count; rank += 1) {
      const environment = environmentOf(rank, count, join(folder, 'meeting'), library, link);
      ranks.push(new RankProcess(rank, program, environment, prefix));
    }
    const failure = await firstFailure(ranks, signals);
    await Promise.all(ranks.map(({ ended }) => ended));
    return signals.exitCode ?? failure?.code ?? 0;
  } finally {
    signals.forget();
    process.stdin.destroy();
    rmSync(folder, { recursive: true, force: true });
  }
};

/** Resolves when all have ended well, or when one failed and the others were ended too. */
const firstFailure = async (
  ranks: readonly RankProcess[],
  signals: SignalForwarder,
): Promise<RankEnd | undefined> => {
  const failed = Promise.withResolvers<RankEnd | undefined>();
  const ends = ranks.map(async ({ ended }) => {
    const end = await ended;
    if (end.code !== 0) failed.resolve(end);
  });
  const all = Promise.all(ends);
  void all.then(() => failed.resolve(undefined));
  const end = await failed.promise;
  if (end !== undefined && signals.exitCode === undefined) {
    note(`espalier: rank ${end.rank} ${end.how}; the others end`);
    await endAll(ranks, all);
  }
  return end;
};

const endAll = async (ranks: readonly RankProcess[], all: Promise<unknown>): Promise<void> => {
  if (await within(sayWhyMs, all)) return;
  for (const rank of ranks) rank.signal('SIGTERM');
  if (await within(endMs, all)) return;
  for (const rank of ranks) rank.signal('SIGKILL');
};

const within = async (ms: number, work: Promise<unknown>): Promise<boolean> => {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), ms);
  void work.then(() => resolve(true));
  const done = await promise;
  clearTimeout(timer);
  return done;
};

/** Hands Ctrl-C and SIGTERM on to the ranks; the second one, or 5 s, ends them for good. */
class SignalForwarder {
  exitCode: number | undefined;
  #ranks: readonly RankProcess[];
  #killer: NodeJS.Timeout | undefined;

  constructor(ranks: readonly RankProcess[]) {
    this.#ranks = ranks;
    process.on('SIGINT', () => this.#forward('SIGINT', 130));
    process.on('SIGTERM', () => this.#forward('SIGTERM', 143));
  }

  /** All have ended. It goes on listening: one more signal must neither leave the folder nor change the exit code. */
  forget(): void {
    clearTimeout(this.#killer);
    this.#ranks = [];
  }

  #forward(signal: NodeJS.Signals, exitCode: number): void {
    const isSecond = this.exitCode !== undefined;
    this.exitCode ??= exitCode;
    for (const rank of this.#ranks) rank.signal(isSecond ? 'SIGKILL' : signal);
    this.#killer ??= setTimeout(() => {
      for (const rank of this.#ranks) rank.signal('SIGKILL');
    }, endMs).unref();
  }
}

const environmentOf = (
  rank: number,
  size: number,
  meeting: string,
  library: string,
  link: string | undefined,
): NodeJS.ProcessEnv => {
  const environment: NodeJS.ProcessEnv = {
    PYTHONUNBUFFERED: '1',
    ...process.env,
    ESPALIER_RANK: String(rank),
    ESPALIER_SIZE: String(size),
    ESPALIER_RENDEZVOUS: `file:${meeting}`,
    MLX_MPI_LIBNAME: library,
    ...(link === undefined ? {} : { ESPALIER_LINKS: link }),
  };
  // mx.distributed.init() without a backend tries these first.
  for (const name of ['MLX_RANK', 'MLX_HOSTFILE', 'MLX_IBV_DEVICES', 'MLX_JACCL_COORDINATOR']) {
    delete environment[name];
  }
  return environment;
};
