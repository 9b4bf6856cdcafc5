import assert from 'node:assert/strict';
import test from 'node:test';

import OpenAI from 'openai';

import { engine, assignmentOf, expectedContinuations, startGroup } from './group.ts';
import type { TestGroup } from './group.ts';

const shapes = [
  { name: '1 rank', tensorSize: 1, stageCount: 1 },
  { name: '2 ranks, tensor', tensorSize: 2, stageCount: 1 },
  { name: '2 ranks, tensor, on two hosts', tensorSize: 2, stageCount: 1, separateHosts: true },
  { name: '4 ranks, tensor', tensorSize: 4, stageCount: 1 },
  { name: '2 ranks, pipeline', tensorSize: 1, stageCount: 2 },
  { name: '4 ranks, 2 stages of 2', tensorSize: 2, stageCount: 2 },
];

const clientOf = ({ endpointUrl }: TestGroup) =>
  new OpenAI({ baseURL: endpointUrl, apiKey: 'none', maxRetries: 0 });

for (const { name, ...shape } of shapes) {
  test(`${name}: writes greedily what mlx-lm writes, then leaves in order`, async () => {
    const group = await startGroup(shape);
    try {
      const client = clientOf(group);
      for (const expected of await expectedContinuations()) {
        const { choices, usage } = await client.completions.create({
          model: 'sprout',
          prompt: expected.prompt,
          max_tokens: expected.ids.length,
          temperature: 0,
        });
        assert.equal(choices[0]!.text, expected.text);
        assert.equal(usage!.prompt_tokens, expected.prompt_ids.length);
        assert.equal(usage!.completion_tokens, expected.ids.length);
      }
      await engine.canary(group.endpointUrl, assignmentOf({}, 0), AbortSignal.timeout(60_000));

      const statuses = await Promise.all(group.ranks.map(async (rank) => rank.status()));
      for (const status of statuses) {
        assert.equal(status!.links!.length, group.ranks.length - 1);
        for (const { kind } of status!.links!) {
          assert.equal(kind, shape.separateHosts ? 'tcp' : 'shm');
        }
        assert.ok(status!.shardBytes! > 0);
      }
      for (const { process } of group.ranks) process.kill('SIGTERM');
      const exits = await Promise.all(group.ranks.map(async ({ exit }) => exit));
      assert.deepEqual(new Set(exits.map(({ exitCode }) => exitCode)), new Set([0]));
    } finally {
      await group.stop();
    }
  });
}
