import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createBuiltInEngine } from '../../src/engines/builtin/engine.ts';
import type { EngineStatus } from '../../src/engines/engine.ts';
import { startDetached } from '../../src/engines/process.ts';
import type { RankAssignment } from '../../src/nodedoc/types.ts';
import type { BenchModel } from './models.ts';

/** One way to spread a model over processes: tensor parallel, `threads` in each. */
export interface GroupShape {
  ranks: number;
  threads: number;
  /** How ranks exchange. Over TCP each believes that it is alone on its host. */
  link: 'shm' | 'tcp';
}

export interface RankGroup {
  /** Base URL, ending in /v1; the model's name is "bench". */
  endpointUrl: string;
  pids: number[];
  /** What one token reads, over all ranks. */
  weightBytes: number;
}

const readyTimeoutMs = 120_000;

/**
 * Runs the ranks of one group as processes, started as a daemon would, while `use` works with them. None is
 * left after it, however it ends.
 */
export const withRankGroup = async <T>(
  options: { model: BenchModel; shape: GroupShape; signal: AbortSignal },
  use: (group: RankGroup) => Promise<T>,
): Promise<T> => {
  const directory = await mkdtemp(join(tmpdir(), 'espalier-bench-'));
  const ranks: Rank[] = [];
  try {
    ranks.push(await startRank(directory, assignmentOf(options, 0, null), options.shape));
    if (options.shape.ranks > 1) {
      const meeting = await seen(ranks[0]!, options.signal, (status) => status.rendezvousAddress);
      for (let rank = 1; rank < options.shape.ranks; rank += 1) {
        const assignment = assignmentOf(options, rank, meeting);
        ranks.push(await startRank(directory, assignment, options.shape));
      }
    }
    const statuses: EngineStatus[] = [];
    for (const rank of ranks) statuses.push(await seen(rank, options.signal, serving));
    return await use({
      endpointUrl: statuses[0]!.endpointUrl!,
      pids: ranks.map(({ pid }) => pid),
      weightBytes: statuses.reduce((sum, { shardBytes = 0 }) => sum + shardBytes, 0),
    });
  } finally {
    for (const { pid } of ranks) killIfRunning(pid);
    await Promise.all(ranks.map(async ({ exited }) => exited));
    await rm(directory, { recursive: true, force: true });
  }
};

interface Rank {
  pid: number;
  exited: Promise<unknown>;
  status: () => Promise<EngineStatus | undefined>;
}

const startRank = async (
  directory: string,
  assignment: RankAssignment,
  { link }: GroupShape,
): Promise<Rank> => {
  const hostID = link === 'shm' ? 'bench' : `bench-${assignment.rank}`;
  const engine = createBuiltInEngine({ hostAddress: '127.0.0.1', hostID });
  const runDirectory = join(directory, `rank-${assignment.rank}`);
  await mkdir(runDirectory);
  const { pid, exited } = await startDetached(await engine.command(assignment, runDirectory), {
    workingDirectory: runDirectory,
    logFile: join(runDirectory, 'rank.log'),
  });
  return { pid, exited, status: async () => engine.readStatus(runDirectory) };
};

const serving = (status: EngineStatus): EngineStatus | undefined =>
  status.phase === 'Serving' && status.shardBytes ? status : undefined;

/** Waits until the rank's status shows what `look` is after. */
const seen = async <T>(
  rank: Rank,
  signal: AbortSignal,
  look: (status: EngineStatus) => T | undefined,
): Promise<T> => {
  const deadlineMs = performance.now() + readyTimeoutMs;
  while (performance.now() < deadlineMs) {
    const status = await rank.status();
    if (status?.error) throw new Error(`a rank failed: ${status.error.message}`);
    const value = status && look(status);
    if (value !== undefined) return value;
    await sleep(10, undefined, { signal });
  }
  throw new Error(`a rank was not ready within ${readyTimeoutMs} ms`);
};

const killIfRunning = (pid: number): void => {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has exited by itself.
  }
};

const assignmentOf = (
  { model, shape }: { model: BenchModel; shape: GroupShape },
  rank: number,
  address: string | null,
): RankAssignment => ({
  id: `bench/${model.name}/0/1/${rank}`,
  namespace: 'bench',
  deployment: model.name,
  groupIndex: 0,
  incarnation: 1,
  rank,
  worldSize: shape.ranks,
  revision: 'bench',
  engine: { name: 'BuiltIn', version: '', args: [] },
  model: { uri: model.uri, servedNames: ['bench'] },
  shard: {
    tensorRank: rank,
    tensorSize: shape.ranks,
    stage: 0,
    stageCount: 1,
    firstLayer: 0,
    endLayer: model.layers,
  },
  contextLength: 512,
  maxConcurrentRequests: 1,
  threads: shape.threads,
  memoryBytes: 0,
  interconnectMode: shape.ranks === 1 ? 'None' : 'TCP',
  rendezvous: { address, secret: 'not a secret: loopback only, for seconds' },
  deadlines: {
    stageMs: readyTimeoutMs,
    loadMs: readyTimeoutMs,
    rendezvousMs: readyTimeoutMs,
    canaryMs: readyTimeoutMs,
    stopGraceMs: 5_000,
  },
});
