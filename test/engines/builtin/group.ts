import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { createBuiltInEngine } from '../../../src/engines/builtin/engine.ts';
import type { EngineStatus } from '../../../src/engines/engine.ts';
import type { RankAssignment } from '../../../src/nodedoc/types.ts';
import { eventually } from '../../support/eventually.ts';

export const sproutFolder = fileURLToPath(
  new URL('../../../examples/models/sprout', import.meta.url),
);

const engineOn = (hostID: string) => createBuiltInEngine({ hostAddress: '127.0.0.1', hostID });

export const engine = engineOn('test-host');

export interface GroupShape {
  tensorSize?: number;
  stageCount?: number;
  modelFolder?: string;
  contextLength?: number;
  maxConcurrentRequests?: number;
  stopGraceMs?: number;
  /** Each rank believes that it is alone on its host, so that none can share memory. */
  separateHosts?: boolean;
  /** Serves sprout without its stop token, so that only the context ends a story. */
  neverStops?: boolean;
}

export interface TestRank {
  process: ChildProcess;
  exit: Promise<{ exitCode: number | null; signal: string | null }>;
  status(): Promise<EngineStatus | undefined>;
  /** Waits until the rank says so. */
  reaches(phase: EngineStatus['phase']): Promise<EngineStatus>;
  log(): Promise<string>;
}

export interface TestGroup {
  ranks: TestRank[];
  endpointUrl: string;
  stop(): Promise<void>;
}

export const assignmentOf = (shape: GroupShape, rank: number, address: string | null = null) => {
  const { tensorSize = 1, stageCount = 1, modelFolder = sproutFolder } = shape;
  const stage = Math.floor(rank / tensorSize);
  const worldSize = tensorSize * stageCount;
  const layers = 6;
  return {
    id: `test/sprout/0/1/${rank}`,
    namespace: 'test',
    deployment: 'sprout',
    groupIndex: 0,
    incarnation: 1,
    rank,
    worldSize,
    revision: 'sprout-1',
    engine: { name: 'BuiltIn', version: '', args: [] },
    model: { uri: pathToFileURL(modelFolder).href, servedNames: ['sprout'] },
    shard: {
      tensorRank: rank % tensorSize,
      tensorSize,
      stage,
      stageCount,
      firstLayer: (stage * layers) / stageCount,
      endLayer: ((stage + 1) * layers) / stageCount,
    },
    contextLength: shape.contextLength ?? 256,
    maxConcurrentRequests: shape.maxConcurrentRequests ?? 4,
    threads: 1,
    memoryBytes: 0,
    interconnectMode: worldSize === 1 ? 'None' : 'TCP',
    rendezvous: { address, secret: 'test-secret-6b1f' },
    deadlines: {
      stageMs: 90_000,
      loadMs: 90_000,
      rendezvousMs: 90_000,
      canaryMs: 90_000,
      stopGraceMs: shape.stopGraceMs ?? 4000,
    },
  } satisfies RankAssignment;
};

/** Starts one rank as a daemon would: from the engine's command, in a run directory of its own. */
export const startRank = async (
  directory: string,
  assignment: RankAssignment,
  hostID = 'test-host',
): Promise<TestRank> => {
  const runDirectory = join(directory, `rank-${assignment.rank}`);
  const { file, args, env } = await engineOn(hostID).command(assignment, runDirectory);
  const child = spawn(file, args, {
    cwd: runDirectory,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (data: Buffer) => (log += data.toString()));
  const exit = once(child, 'exit').then(([exitCode, signal]) => ({
    exitCode: exitCode as number | null,
    signal: signal as string | null,
  }));
  return {
    process: child,
    exit,
    status: async () => engine.readStatus(runDirectory),
    reaches: async (phase) => {
      const status = await eventually(`rank ${assignment.rank} is ${phase}`, async () => {
        const now = await engine.readStatus(runDirectory);
        return now?.phase === phase || now?.phase === 'Failed' ? now : child.exitCode !== null;
      });
      if (status !== true && status.phase === phase) return status;
      throw new Error(`rank ${assignment.rank}: ${JSON.stringify(status)}\n${log}`);
    },
    log: async () => log,
  };
};

/** All ranks of one group, serving. */
export const startGroup = async (wanted: GroupShape = {}): Promise<TestGroup> => {
  const directory = await mkdtemp(join(tmpdir(), 'espalier-group-'));
  const shape = wanted.neverStops
    ? { ...wanted, modelFolder: await sproutWithoutEnd(directory) }
    : wanted;
  const worldSize = (shape.tensorSize ?? 1) * (shape.stageCount ?? 1);
  const ranks: TestRank[] = [];
  const stop = async () => {
    for (const { process } of ranks) process.kill('SIGKILL');
    await Promise.all(ranks.map(async ({ exit }) => exit));
    await rm(directory, { recursive: true, force: true });
  };
  try {
    ranks.push(await startRank(directory, assignmentOf(shape, 0)));
    if (worldSize > 1) {
      const address = await eventually('rank 0 says where it waits', async () => {
        const status = await ranks[0]!.status();
        return status?.rendezvousAddress ?? (status?.error && JSON.stringify(status.error));
      });
      for (let rank = 1; rank < worldSize; rank += 1) {
        const hostID = shape.separateHosts ? `host-${rank}` : undefined;
        ranks.push(await startRank(directory, assignmentOf(shape, rank, address), hostID));
      }
    }
    const [first] = await Promise.all(ranks.map(async (rank) => rank.reaches('Serving')));
    return { ranks, endpointUrl: first!.endpointUrl!, stop };
  } catch (error) {
    await stop();
    throw error;
  }
};

/** A folder in `directory` with sprout's files, changed as `changes` says: undefined leaves one out. */
export const sproutWith = async (
  directory: string,
  changes: Record<string, ((text: string) => string) | undefined>,
): Promise<string> => {
  const folder = await mkdtemp(join(directory, 'model-'));
  for (const name of await readdir(sproutFolder)) {
    const change = changes[name];
    if (!(name in changes)) await symlink(join(sproutFolder, name), join(folder, name));
    else if (change) {
      await writeFile(join(folder, name), change(await readFile(join(sproutFolder, name), 'utf8')));
    }
  }
  return folder;
};

const withoutEnd = (text: string) =>
  JSON.stringify({ ...JSON.parse(text), eos_token_id: undefined, eos_token: undefined });

const sproutWithoutEnd = async (directory: string): Promise<string> =>
  sproutWith(directory, {
    'config.json': withoutEnd,
    'generation_config.json': withoutEnd,
    'tokenizer_config.json': withoutEnd,
  });

export interface ExpectedContinuation {
  prompt: string;
  prompt_ids: number[];
  ids: number[];
  text: string;
}

/** What mlx-lm writes greedily, from the folder of the model. */
export const expectedContinuations = async (): Promise<ExpectedContinuation[]> => {
  const text = await readFile(join(sproutFolder, 'expected.json'), 'utf8');
  const { continuations } = JSON.parse(text) as { continuations: ExpectedContinuation[] };
  // Continuations end where two tokens are too close to call, which may be at once.
  return continuations.filter(({ ids }) => ids.length > 0);
};
