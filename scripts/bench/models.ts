import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readModelProfile } from '../../src/catalogue/model-folder.ts';

/** A model that is measured, and the question that it is asked. */
export interface BenchModel {
  name: string;
  uri: string;
  layers: number;
  prompt: string;
  /** Long enough that the decoding is not over before it has settled. */
  maxTokens: number;
}

/** The model with real weights that comes with Espalier, and one of useful size with random weights. */
export const prepareModels = async (root: string): Promise<BenchModel[]> => {
  const prompt = 'Once upon a time there was a';
  const sprout = join(root, 'examples/models/sprout');
  const synthetic = join(root, '.cache/llama-1b-4bit');
  if (!existsSync(synthetic)) writeSynthetic(root, { folder: synthetic, tokenizerFrom: sprout });
  return [
    await describe('sprout', sprout, { prompt, maxTokens: 400 }),
    await describe('llama-1b-4bit', synthetic, { prompt, maxTokens: 48 }),
  ];
};

const describe = async (
  name: string,
  folder: string,
  question: { prompt: string; maxTokens: number },
): Promise<BenchModel> => {
  const uri = pathToFileURL(folder).href;
  return { name, uri, layers: (await readModelProfile(uri)).layers.length, ...question };
};

/** Made under another name first, so that a folder which is there is whole. */
const writeSynthetic = (root: string, paths: { folder: string; tokenizerFrom: string }): void => {
  const draft = `${paths.folder}.draft`;
  rmSync(draft, { recursive: true, force: true });
  process.stderr.write('Writing a model with random weights (695 MB, once) …\n');
  execFileSync('python3', [join(root, 'scripts/synthetic-model.py'), draft], {
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: 10 * 60_000,
  });
  writeTokenizer(paths.tokenizerFrom, draft);
  renameSync(draft, paths.folder);
};

/**
 * Gives every token of the model a text: random weights draw from the whole vocabulary, and a token without
 * text would not show in the stream that is timed.
 */
const writeTokenizer = (from: string, folder: string): void => {
  const tokenizer = JSON.parse(readFileSync(join(from, 'tokenizer.json'), 'utf8')) as {
    model: { vocab: Record<string, number> };
  };
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as {
    vocab_size: number;
  };
  const known = Object.keys(tokenizer.model.vocab).length;
  for (let id = known; id < config.vocab_size; id += 1) tokenizer.model.vocab[`-t${id}`] = id;
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
};
