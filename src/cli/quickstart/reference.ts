import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RankAssignment } from '../../nodedoc/types.ts';
import { createBuiltInEngine } from '../../engines/builtin/engine.ts';
import { startDetached } from '../../engines/process.ts';
import { ask } from './ask.ts';
import type { Answer } from './ask.ts';

/**
 * The same question to one rank that holds the whole model, outside the control plane: what the sharded
 * answer is compared with. Leaves no process and no file behind.
 */
export const askSingleRank = async (options: {
  modelUri: string;
  layers: number;
  contextLength: number;
  prompt: string;
  maxTokens: number;
  timeoutMs: number;
}): Promise<Answer> => {
  const runDirectory = await mkdtemp(join(tmpdir(), 'espalier-reference-'));
  const engine = createBuiltInEngine({ hostAddress: '127.0.0.1', hostID: 'reference' });
  const command = await engine.command(assignmentOf(options), runDirectory);
  const rank = await startDetached(command, {
    workingDirectory: runDirectory,
    logFile: join(runDirectory, 'rank.log'),
  });
  try {
    const baseUrl = await servingAt(engine, runDirectory, options.timeoutMs);
    return await ask({ ...options, baseUrl, model: 'reference' });
  } finally {
    process.kill(rank.pid, 'SIGKILL');
    await rank.exited;
    await rm(runDirectory, { recursive: true, force: true });
  }
};

const servingAt = async (
  engine: ReturnType<typeof createBuiltInEngine>,
  runDirectory: string,
  timeoutMs: number,
): Promise<string> => {
  const deadlineMs = performance.now() + timeoutMs;
  while (performance.now() < deadlineMs) {
    const status = await engine.readStatus(runDirectory);
    if (status?.phase === 'Serving' && status.endpointUrl) return status.endpointUrl;
    if (status?.error) throw new Error(`the reference rank failed: ${status.error.message}`);
    await sleep(20);
  }
  throw new Error(`the reference rank did not serve within ${timeoutMs} ms`);
};

const assignmentOf = (options: {
  modelUri: string;
  layers: number;
  contextLength: number;
}): RankAssignment => ({
  id: 'quickstart/reference/0/1/0',
  namespace: 'quickstart',
  deployment: 'reference',
  groupIndex: 0,
  incarnation: 1,
  rank: 0,
  worldSize: 1,
  revision: 'reference',
  engine: { name: 'BuiltIn', version: '', args: [] },
  model: { uri: options.modelUri, servedNames: ['reference'] },
  shard: {
    tensorRank: 0,
    tensorSize: 1,
    stage: 0,
    stageCount: 1,
    firstLayer: 0,
    endLayer: options.layers,
  },
  contextLength: options.contextLength,
  maxConcurrentRequests: 1,
  threads: 1,
  memoryBytes: 0,
  interconnectMode: 'None',
  rendezvous: { address: null, secret: 'a group of one has no peers' },
  deadlines: {
    stageMs: 60_000,
    loadMs: 60_000,
    rendezvousMs: 60_000,
    canaryMs: 60_000,
    stopGraceMs: 5_000,
  },
});
