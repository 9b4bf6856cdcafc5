import assert from 'node:assert/strict';
import { truncate, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import * as fc from '../support/fast-check.ts';
import { EspalierError } from '../../src/base/errors.ts';
import { createModelProfileReader, readModelProfile } from '../../src/catalogue/model-folder.ts';
import { indivisible } from '../../src/planner/divisibility.ts';
import {
  safetensors,
  tinyConfig,
  tinyModel,
  tinyTensors,
  tinyTokenizer,
  writeFolder,
} from './tiny-model.ts';

const sprout = join(import.meta.dirname, '../../examples/models/sprout');
const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);

const rejection = async (uri: string): Promise<EspalierError> => {
  try {
    await readModelProfile(uri);
  } catch (error) {
    assert.ok(error instanceof EspalierError, String(error));
    assert.equal(error.kind, 'terminal');
    return error;
  }
  throw new assert.AssertionError({ message: 'expected readModelProfile to throw' });
};

describe('sizes', () => {
  it('are exact for an MLX 8-bit model', async () => {
    const profile = await readModelProfile(sprout);
    const { layers, embeddingBytes, headBytes, otherBytes } = profile;
    assert.equal(profile.weightsPresent, true);
    assert.deepEqual(profile.quantization, { format: 'Affine', bits: 8, groupSize: 64 });
    assert.equal(headBytes, 0);
    // 8 bits, and 16-bit scale and bias for each 64.
    assert.equal(embeddingBytes, 2048 * 256 * 1.0625);
    const parts = layers.map((layer) => layer.shardedBytes + layer.replicatedBytes);
    assert.equal(sum(parts) + embeddingBytes + otherBytes, profile.totalBytes);
  });

  it('follow from config.json alone as they do from the weights', async (context) => {
    const whole = await readModelProfile(await writeFolder(context, tinyModel()));
    const bare = await readModelProfile(
      await writeFolder(context, { 'config.json': JSON.stringify(tinyConfig) }),
    );
    assert.equal(bare.weightsPresent, false);
    const { uri: _u, revision: _r, weightsPresent: _w, ...sizes } = bare;
    assert.deepEqual({ ...whole, ...sizes }, whole);
  });

  it('follow from config.json alone for sprout too', async (context) => {
    const config = {
      model_type: 'llama',
      hidden_size: 256,
      intermediate_size: 768,
      num_hidden_layers: 6,
      num_attention_heads: 8,
      num_key_value_heads: 4,
      head_dim: 32,
      vocab_size: 2048,
      max_position_embeddings: 512,
      tie_word_embeddings: true,
      torch_dtype: 'float16',
      quantization: { group_size: 64, bits: 8 },
    };
    const folder = await writeFolder(context, { 'config.json': JSON.stringify(config) });
    const whole = await readModelProfile(sprout);
    assert.equal((await readModelProfile(folder)).totalBytes, whole.totalBytes);
  });

  it('count the biases of qwen2 and a head of its own', async (context) => {
    const config = { ...tinyConfig, model_type: 'qwen2', tie_word_embeddings: false };
    const profile = await readModelProfile(
      await writeFolder(context, { 'config.json': JSON.stringify(config) }),
    );
    const matrices = 64 * 64 * 2 + 32 * 64 * 2 + 3 * 128 * 64;
    for (const { shardedBytes, replicatedBytes } of profile.layers) {
      assert.deepEqual([shardedBytes, replicatedBytes], [2 * (matrices + 64 + 32 + 32), 256]);
    }
    assert.equal(profile.headBytes, 16 * 64 * 2);
  });

  it('do not depend on numbers that only Python takes for JSON', async (context) => {
    const text = JSON.stringify({ ...tinyConfig, note: 'NaN "Infinity" \\' });
    const config = text.replace('{', '{"time_step_limit": [0.0, Infinity, -Infinity, NaN],');
    const folder = await writeFolder(context, { ...tinyModel(), 'config.json': config });
    const whole = await readModelProfile(await writeFolder(context, tinyModel()));
    assert.equal((await readModelProfile(folder)).totalBytes, whole.totalBytes);
  });

  it('say whether embeddings are tied when config.json does not', async (context) => {
    const { tie_word_embeddings: _, ...silent } = tinyConfig;
    const files = { ...tinyModel(), 'config.json': JSON.stringify(silent) };
    assert.equal((await readModelProfile(await writeFolder(context, files))).tiedEmbeddings, true);
  });
});

describe('URIs', () => {
  it('may be absolute, relative to a base, or plain paths', async (context) => {
    const folder = await writeFolder(context, tinyModel());
    const baseDirectory = dirname(folder);
    const name = basename(folder);
    for (const uri of [
      folder,
      pathToFileURL(folder).href,
      `file://./${name}`,
      name,
      `file://${name}`,
    ]) {
      const profile = await readModelProfile(uri, { baseDirectory });
      assert.deepEqual([profile.layers.length, profile.uri], [2, uri]);
    }
  });

  for (const scheme of ['hf', 's3', 'oci', 'https']) {
    it(`of ${scheme}:// are not available yet`, async () => {
      const error = await rejection(`${scheme}://somewhere/model`);
      assert.equal(error.code, 'SourceNotAvailable');
      assert.match(error.message, /not available yet; download .* and use file:\/\//);
    });
  }
});

const index = (map: Record<string, string>) => JSON.stringify({ weight_map: map });

describe('an index of several files', () => {
  it('is followed', async (context) => {
    const entries = Object.entries(tinyTensors());
    const [first, second] = [entries.slice(0, 7), entries.slice(7)];
    const folder = await writeFolder(context, {
      ...tinyModel(),
      'model.safetensors': undefined,
      'model-1.safetensors': safetensors(Object.fromEntries(first)),
      'model-2.safetensors': safetensors(Object.fromEntries(second)),
      'model.safetensors.index.json': index({
        ...Object.fromEntries(first.map(([name]) => [name, 'model-1.safetensors'])),
        ...Object.fromEntries(second.map(([name]) => [name, 'model-2.safetensors'])),
      }),
    });
    const single = await readModelProfile(await writeFolder(context, tinyModel()));
    assert.equal((await readModelProfile(folder)).totalBytes, single.totalBytes);
  });

  it('that names an absent file is refused by that name', async (context) => {
    const folder = await writeFolder(context, {
      ...tinyModel(),
      'model.safetensors.index.json': index({ x: 'model-00007.safetensors' }),
    });
    const error = await rejection(folder);
    assert.equal(error.code, 'ModelFileMissing');
    assert.equal(error.facts['file'], join(folder, 'model-00007.safetensors'));
    assert.match(error.message, /index\.json names it/);
  });

  it('without one of its files is as good as none', async (context) => {
    const folder = await writeFolder(context, {
      'config.json': JSON.stringify(tinyConfig),
      'model.safetensors.index.json': index({ x: 'model-00001.safetensors' }),
    });
    assert.equal((await readModelProfile(folder)).weightsPresent, false);
  });

  it('that leads out of the folder is refused', async (context) => {
    const folder = await writeFolder(context, {
      ...tinyModel(),
      'model.safetensors.index.json': index({ x: '../secret.safetensors' }),
    });
    assert.equal((await rejection(folder)).code, 'SafetensorsInvalid');
  });
});

const configWith = (changes: object) => ({
  'config.json': JSON.stringify({ ...tinyConfig, ...changes }),
});
const tensorsWith = (changes: Record<string, { dtype: string; shape: number[] }>) => ({
  'model.safetensors': safetensors({ ...tinyTensors(), ...changes }),
});
const withoutNorm = () => {
  const { 'model.norm.weight': _, ...rest } = tinyTensors();
  return safetensors(rest);
};
const wrongFolders: [
  string,
  Record<string, string | Buffer | undefined>,
  string,
  string,
  RegExp,
][] = [
  [
    'without config.json',
    { 'config.json': undefined },
    'ModelFolderMissing',
    'config.json',
    /config/,
  ],
  ['with broken config.json', { 'config.json': '{' }, 'ModelConfigInvalid', 'config.json', /JSON/],
  [
    'without layers',
    configWith({ num_hidden_layers: null }),
    'ModelConfigInvalid',
    'config.json',
    /num_hidden_layers: expected an integer from 1 to 4096, it is not there/,
  ],
  [
    'with a negative width',
    configWith({ hidden_size: -1 }),
    'ModelConfigInvalid',
    'config.json',
    /got -1/,
  ],
  [
    'of an unknown family without weights',
    {
      ...configWith({ model_type: 'novel', num_attention_heads: null }),
      'model.safetensors': undefined,
    },
    'UnsupportedArchitecture',
    'config.json',
    /"novel" is not known, .*num_attention_heads.* headers of its weights, which are not there/,
  ],
  [
    'with a tensor of another shape',
    tensorsWith({ 'model.norm.weight': { dtype: 'BF16', shape: [63] } }),
    'TensorShapeMismatch',
    'model.safetensors',
    /expected F32 or F16 or BF16 \[64\] .* got BF16 \[63\]/,
  ],
  [
    'without a tensor',
    { 'model.safetensors': withoutNorm() },
    'TensorMissing',
    '',
    /model\.norm\.weight/,
  ],
  [
    'with garbage for weights',
    { 'model.safetensors': Buffer.alloc(64, 255) },
    'SafetensorsInvalid',
    'model.safetensors',
    /no safetensors file/,
  ],
  [
    'with empty weights',
    { 'model.safetensors': '' },
    'ModelFileTruncated',
    'model.safetensors',
    /the file has 0/,
  ],
  [
    'without tokenizer',
    { 'tokenizer.json': undefined },
    'TokenizerInvalid',
    'tokenizer.json',
    /there is none/,
  ],
  [
    'with a broken tokenizer',
    { 'tokenizer.json': '[]' },
    'TokenizerInvalid',
    'tokenizer.json',
    /expected an object/,
  ],
  [
    "with another model's tokenizer",
    { 'tokenizer.json': JSON.stringify({ ...tinyTokenizer, added_tokens: [{ id: 16 }] }) },
    'TokenizerInvalid',
    'tokenizer.json',
    /token id 16 is beyond the model's vocab_size 16/,
  ],
];

const beyondBuiltIn: [string, object, RegExp][] = [
  [
    'another quantisation',
    { quantization_config: { quant_method: 'gptq', bits: 4, group_size: 128 } },
    /only MLX affine/,
  ],
  ['YaRN', { rope_scaling: { type: 'yarn' } }, /got "yarn"/],
  ['sliding windows', { layer_types: ['sliding_attention'] }, /layer_types/],
  ['3 bits', { quantization: { bits: 3, group_size: 64 } }, /expected 4 or 8, got 3/],
  ['another activation', { hidden_act: 'gelu' }, /hidden_act: expected "silu", got "gelu"/],
];

describe('a configuration that the built-in engine does not read', () => {
  for (const [what, changes, message] of beyondBuiltIn) {
    it(`is profiled for other engines, and says so: ${what}`, async (context) => {
      const { unsupportedBy } = await readModelProfile(
        await writeFolder(context, { ...tinyModel(), ...configWith(changes) }),
      );
      assert.match(unsupportedBy?.['BuiltIn'] ?? '', message);
    });
  }
});

describe('an architecture that is not known', () => {
  it('is sized by the headers of its weights, layer by layer, and never divided', async (context) => {
    const known = await readModelProfile(await writeFolder(context, tinyModel()));
    const profile = await readModelProfile(
      await writeFolder(context, { ...tinyModel(), ...configWith({ model_type: 'novel' }) }),
    );
    assert.deepEqual([profile.basis, profile.architecture], ['Tensors', 'novel']);
    assert.equal(profile.totalBytes, known.totalBytes);
    assert.deepEqual(
      [profile.hiddenSize, profile.vocabSize, profile.tiedEmbeddings],
      [64, 16, true],
    );
    assert.equal(profile.embeddingBytes, known.embeddingBytes);
    for (const [
      index,
      { shardedBytes, replicatedBytes, activeParameters },
    ] of profile.layers.entries()) {
      const whole = known.layers[index];
      assert.equal(shardedBytes, 0);
      assert.equal(replicatedBytes, (whole?.shardedBytes ?? 0) + (whole?.replicatedBytes ?? 0));
      assert.equal(activeParameters, whole?.activeParameters);
    }
  });

  it('needs no tokenizer to be planned', async (context) => {
    const files = { ...tinyModel(), 'tokenizer.json': undefined };
    const folder = await writeFolder(context, {
      ...files,
      ...configWith({ model_type: 'novel' }),
    });
    assert.equal((await rejection(folder)).code, 'TokenizerInvalid');
    const { basis, notes } = await readModelProfile(folder, { planOnly: true });
    assert.equal(basis, 'Tensors');
    assert.match(String(notes), /no tokenizer\.json: this can be planned, not started/);
  });

  it('without weights is sized by what its fields usually mean, and never divided', async (context) => {
    const known = await readModelProfile(
      await writeFolder(context, { 'config.json': JSON.stringify(tinyConfig) }),
    );
    const profile = await readModelProfile(
      await writeFolder(context, configWith({ model_type: 'novel' })),
    );
    assert.equal(profile.basis, 'Fields');
    assert.ok(Math.abs(profile.totalBytes / known.totalBytes - 1) < 0.01);
    assert.equal(
      indivisible(profile, { tensorSize: 2, pipelineSize: 1 })?.reason,
      'IncompatibleModel',
    );
  });

  it('is one layer when the names show none', async (context) => {
    const weights = safetensors({ 'blob.weight': { dtype: 'BF16', shape: [16, 64] } });
    const files = { ...tinyModel(), ...configWith({ model_type: 'novel' }) };
    const folder = await writeFolder(context, { ...files, 'model.safetensors': weights });
    const { layers, otherBytes } = await readModelProfile(folder);
    assert.deepEqual([layers.length, otherBytes], [1, 2048]);
  });
});

describe('GGUF', () => {
  const bare = { 'config.json': JSON.stringify(tinyConfig) };

  it('files in the folder say how wide and how large the weights are', async (context) => {
    const folder = await writeFolder(context, {
      ...bare,
      'tiny-Q8_0-00001-of-00002.gguf': Buffer.alloc(600),
      'tiny-Q8_0-00002-of-00002.gguf': Buffer.alloc(400),
      'mmproj-F16.gguf': Buffer.alloc(10),
    });
    const profile = await readModelProfile(folder);
    assert.equal(profile.quantization?.format, 'Gguf');
    assert.deepEqual([profile.totalBytes, profile.weightsPresent], [1000, true]);
    assert.match(profile.unsupportedBy?.['BuiltIn'] ?? '', /GGUF \(Q8_0\)/);
  });

  it('of several types needs a URI that names the file', async (context) => {
    const files = { 'a-Q8_0.gguf': Buffer.alloc(9), 'a-Q4_K_M.gguf': Buffer.alloc(5) };
    const folder = await writeFolder(context, { ...bare, ...files });
    assert.match((await rejection(folder)).message, /expected GGUF files of one type.*model\.uri/);
    const chosen = await readModelProfile(`file://${folder}/a-Q4_K_M.gguf`);
    assert.deepEqual([chosen.quantization?.bits, chosen.totalBytes], [4, 5]);
  });

  it('may be planned by name before there is a file', async (context) => {
    const folder = await writeFolder(context, bare);
    const profile = await readModelProfile(join(folder, 'tiny-Q4_0.gguf'));
    assert.deepEqual([profile.weightsPresent, profile.quantization?.format], [false, 'Gguf']);
  });

  it('without a type in its name is refused', async (context) => {
    const folder = await writeFolder(context, bare);
    const { message } = await rejection(join(folder, 'tiny.gguf'));
    assert.match(message, /tiny\.gguf: expected a GGUF type in the name: F32/);
  });
});

describe('a wrong folder', () => {
  for (const [what, files, code, file, message] of wrongFolders) {
    it(`${what} is refused by file`, async (context) => {
      const folder = await writeFolder(context, { ...tinyModel(), ...files });
      const error = await rejection(folder);
      assert.equal(error.code, code);
      assert.equal(error.facts['file'], file === '' ? folder : join(folder, file));
      assert.match(error.message, message);
    });
  }

  it('that does not exist is refused by path', async () => {
    const error = await rejection('/does/not/exist');
    assert.deepEqual([error.code, error.facts['file']], ['ModelFolderMissing', '/does/not/exist']);
  });

  it('with weights cut off anywhere is refused with both sizes', async (context) => {
    const files = tinyModel();
    const folder = await writeFolder(context, files);
    const file = join(folder, 'model.safetensors');
    const whole = files['model.safetensors'] as Buffer;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: whole.length - 1 }), async (length) => {
        await writeFile(file, whole);
        await truncate(file, length);
        const error = await rejection(folder);
        assert.equal(error.code, 'ModelFileTruncated');
        assert.equal(error.facts['sizeBytes'], length);
        assert.ok(Number(error.facts['expectedBytes']) > length);
      }),
      { numRuns: 50 },
    );
  });
});

it('any damage to any file gives a profile or a terminal error', async (context) => {
  const files = tinyModel();
  const folder = await writeFolder(context, files);
  const names = fc.constantFrom('config.json', 'tokenizer.json', 'model.safetensors');
  const damage = fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) });
  await fc.assert(
    fc.asyncProperty(
      names,
      fc.array(damage, { minLength: 1, maxLength: 4 }),
      async (name, damages) => {
        const content = Buffer.from(files[name] ?? '');
        // Headers come first and weights are not read: most damage goes where it matters.
        for (const { at, byte } of damages) content[at % Math.min(content.length, 400)] = byte;
        await writeFile(join(folder, name), content);
        try {
          await readModelProfile(folder);
        } catch (error) {
          assert.ok(error instanceof EspalierError && error.kind === 'terminal', String(error));
          assert.equal(typeof error.facts['file'], 'string');
        } finally {
          await writeFile(join(folder, name), files[name] ?? '');
        }
      },
    ),
    { numRuns: 300 },
  );
});

describe('change detection', () => {
  it('gives another revision for other weights, config or tokenizer, not for other times', async (context) => {
    const folder = await writeFolder(context, tinyModel());
    const revision = async () => (await readModelProfile(folder)).revision;
    const before = await revision();
    await utimes(join(folder, 'model.safetensors'), 1, 1);
    assert.equal(await revision(), before);
    const seen = new Set([before]);
    const changes: Record<string, string | Buffer> = {
      'model.safetensors': safetensors(tinyTensors(), 1),
      'config.json': JSON.stringify({ ...tinyConfig, rope_theta: 1e6 }),
      'tokenizer.json': JSON.stringify({ ...tinyTokenizer, version: '1.0' }),
    };
    for (const [name, content] of Object.entries(changes)) {
      await writeFile(join(folder, name), content);
      seen.add(await revision());
    }
    assert.equal(seen.size, 4);
  });

  it('reads a folder again only when it has changed', async (context) => {
    const folder = await writeFolder(context, tinyModel());
    const read = createModelProfileReader({});
    const first = await read(folder);
    assert.equal(await read(folder), first);
    await writeFile(join(folder, 'config.json'), JSON.stringify({ ...tinyConfig, rope_theta: 2 }));
    assert.notEqual((await read(folder)).revision, first.revision);
  });
});
