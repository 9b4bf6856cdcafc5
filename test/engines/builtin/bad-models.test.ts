/** A model that cannot run is refused for good, by the engine's check and by the rank itself, with the file's name. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, truncate, copyFile, writeFile, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';

import { EspalierError } from '../../../src/base/errors.ts';
import { assignmentOf, engine, sproutFolder, sproutWith, startRank } from './group.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'espalier-bad-models-'));
});
after(async () => rm(directory, { recursive: true, force: true }));

const edited = (edit: (value: Record<string, never>) => object) => (text: string) =>
  JSON.stringify(edit(JSON.parse(text) as Record<string, never>));

const truncated = async (): Promise<string> => {
  const folder = await sproutWith(directory, { 'model.safetensors': undefined });
  const file = join(folder, 'model.safetensors');
  await copyFile(join(sproutFolder, 'model.safetensors'), file);
  await truncate(file, 1_000_000);
  return folder;
};

const indexed = async (): Promise<string> => {
  const folder = await sproutWith(directory, { 'model.safetensors': undefined });
  const index = { weight_map: { 'model.norm.weight': 'model-00001-of-00001.safetensors' } };
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify(index));
  return folder;
};

const cases: { name: string; folder: () => Promise<string>; code: string; file: RegExp }[] = [
  {
    name: 'no folder',
    folder: async () => join(directory, 'absent'),
    code: 'ModelFolderMissing',
    file: /absent/,
  },
  {
    name: 'an empty folder',
    folder: async () => (await mkdir(join(directory, 'empty'), { recursive: true }))!,
    code: 'ModelFolderMissing',
    file: /empty/,
  },
  {
    name: 'weights cut short',
    folder: truncated,
    code: 'ModelFileTruncated',
    file: /safetensors$/,
  },
  {
    name: 'an index that names an absent file',
    folder: indexed,
    code: 'ModelFileMissing',
    file: /model-00001-of-00001\.safetensors$/,
  },
  {
    name: 'a config that is not JSON',
    folder: async () => sproutWith(directory, { 'config.json': (text) => text.slice(0, 40) }),
    code: 'ModelConfigInvalid',
    file: /config\.json$/,
  },
  {
    name: 'another architecture',
    folder: async () =>
      sproutWith(directory, {
        'config.json': edited((config) => ({
          ...config,
          model_type: 'mamba',
          architectures: ['MambaForCausalLM'],
        })),
      }),
    code: 'UnsupportedArchitecture',
    file: /config\.json$/,
  },
  {
    name: 'no tokenizer',
    folder: async () => sproutWith(directory, { 'tokenizer.json': undefined }),
    code: 'TokenizerInvalid',
    file: /tokenizer\.json$/,
  },
  {
    name: 'a tokenizer cut short',
    folder: async () => sproutWith(directory, { 'tokenizer.json': (text) => text.slice(0, 999) }),
    code: 'TokenizerInvalid',
    file: /tokenizer\.json$/,
  },
  {
    name: 'the tokenizer of a larger model',
    folder: async () =>
      sproutWith(directory, {
        'tokenizer.json': edited(({ added_tokens: added, ...rest }) => ({
          ...rest,
          added_tokens: [
            ...(added as unknown as object[]),
            { id: 2048, content: '<x>', special: true },
          ],
        })),
      }),
    code: 'TokenizerInvalid',
    file: /tokenizer\.json$/,
  },
];

for (const { name, folder, code, file } of cases) {
  test(`${name}: ${code}`, async () => {
    const assignment = assignmentOf({ modelFolder: await folder() }, 0);
    await assert.rejects(engine.stage(assignment, AbortSignal.timeout(60_000)), (error) => {
      assert.ok(error instanceof EspalierError);
      assert.equal(error.code, code, error.message);
      assert.equal(error.kind, 'terminal');
      assert.match(String(error.facts['file']), file);
      return true;
    });
  });
}

test('a rank whose weights went bad after the check says so and is not worth a restart', async () => {
  const rank = await startRank(
    await mkdtemp(join(directory, 'run-')),
    assignmentOf({ modelFolder: await truncated() }, 0),
  );
  assert.deepEqual(await rank.exit, { exitCode: 78, signal: null });
  const { phase, error } = (await rank.status())!;
  assert.equal(phase, 'Failed');
  assert.equal(error!.code, 'ModelFileTruncated');
  assert.equal(error!.terminal, true);
  assert.match(error!.file!, /model\.safetensors$/);
});

test('a good model is staged with its size; other sources and RDMA are refused', async () => {
  const signal = AbortSignal.timeout(60_000);
  const good = assignmentOf({}, 0);
  assert.ok((await engine.stage(good, signal)).sizeBytes > 5_000_000);
  const remote = { ...good, model: { ...good.model, uri: 'hf://mlx-community/x' } };
  await assert.rejects(engine.stage(remote, signal), { code: 'SourceNotAvailable' });
  const rdma = { ...good, interconnectMode: 'RDMA' as const };
  await assert.rejects(engine.stage(rdma, signal), { code: 'EngineUnavailable' });
});
