/**
 * What a group does when one of its ranks dies, stops or is told to leave while it generates. Real processes,
 * real signals.
 */
import assert from 'node:assert/strict';
import test from 'node:test';

import OpenAI from 'openai';

import { startGroup } from './group.ts';
import type { TestGroup } from './group.ts';

/** More than can be written while a test runs. */
const endless = { contextLength: 16_384, maxConcurrentRequests: 2, neverStops: true };

const startStory = async ({ endpointUrl }: TestGroup) => {
  const client = new OpenAI({ baseURL: endpointUrl, apiKey: 'none', maxRetries: 0 });
  const stream = await client.completions.create({
    model: 'sprout',
    prompt: 'Once upon a time',
    max_tokens: 16_000,
    temperature: 0,
    stream: true,
  });
  const iterator = stream[Symbol.asyncIterator]();
  await iterator.next();
  return {
    readOn: async () => {
      for (;;) if ((await iterator.next()).done) return;
    },
  };
};

const within = async <T>(what: string, promise: Promise<T>, timeoutMs = 30_000): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${timeoutMs} ms: ${what}`)), timeoutMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

const losses = [
  { name: '4 ranks, 2 stages of 2', tensorSize: 2, stageCount: 2, guilty: 3, signal: 'SIGKILL' },
  { name: '2 ranks, tensor', tensorSize: 2, stageCount: 1, guilty: 1, signal: 'SIGSTOP' },
] as const;

for (const { name, guilty, signal, ...shape } of losses) {
  test(`${name}: ${signal} of rank ${guilty} ends the rest, which name it`, async () => {
    const group = await startGroup({ ...shape, ...endless });
    try {
      const story = await startStory(group);
      group.ranks[guilty]!.process.kill(signal);
      await within('the client gets an error', assert.rejects(story.readOn()));
      for (const [rank, survivor] of group.ranks.entries()) {
        if (rank === guilty) continue;
        const { exitCode } = await within(`rank ${rank} exits`, survivor.exit);
        assert.equal(exitCode, 70, await survivor.log());
        const { phase, error } = (await survivor.status())!;
        assert.equal(phase, 'Failed');
        assert.equal(error!.guiltyRank, guilty, `rank ${rank}: ${JSON.stringify(error)}`);
        assert.equal(error!.terminal, false);
      }
    } finally {
      await group.stop();
    }
  });
}

test('rank 0 killed: the others exit and name it', async () => {
  const group = await startGroup({ tensorSize: 2, ...endless });
  try {
    group.ranks[0]!.process.kill('SIGKILL');
    const { exitCode } = await within('rank 1 exits', group.ranks[1]!.exit);
    assert.equal(exitCode, 70);
    assert.equal((await group.ranks[1]!.status())!.error!.guiltyRank, 0);
  } finally {
    await group.stop();
  }
});

test('a peer that dies while nothing is asked is found too', async () => {
  const group = await startGroup({ tensorSize: 2 });
  try {
    group.ranks[1]!.process.kill('SIGKILL');
    const { exitCode } = await within('rank 0 exits', group.ranks[0]!.exit);
    assert.equal(exitCode, 70);
    assert.equal((await group.ranks[0]!.status())!.error!.guiltyRank, 1);
  } finally {
    await group.stop();
  }
});

test('SIGTERM: running requests end within the grace, and the group leaves in order', async () => {
  const group = await startGroup({ tensorSize: 2, ...endless, stopGraceMs: 1000 });
  try {
    const story = await startStory(group);
    for (const { process } of group.ranks) process.kill('SIGTERM');
    await within('the client gets an error', assert.rejects(story.readOn()));
    for (const { exit } of group.ranks) {
      assert.deepEqual(await within('it exits', exit), { exitCode: 0, signal: null });
    }
  } finally {
    await group.stop();
  }
});
