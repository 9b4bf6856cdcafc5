import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { EspalierError } from '../base/errors.ts';
import { builtInEngine } from './engine-capabilities.ts';
import { configName, listModelFolder, readJson, tokenizerName } from './model-files.ts';
import type { ModelProfile } from './model-profile.ts';
import type { ModelShape } from './model-shape.ts';
import { resolveModelFolder } from './model-uri.ts';
import { readStoredWeights, storedBytes } from './model-weights.ts';
import type { StoredWeights } from './model-weights.ts';
import { impliedBytes, parseConfig, sizeModel } from './profile.ts';
import type { ParsedConfig } from './profile.ts';
import { checkTokenizer } from './tokenizer-file.ts';

const maxConfigBytes = 4 * 2 ** 20;
const maxTokenizerBytes = 128 * 2 ** 20;
const mostRemembered = 64;

/**
 * Reads what planning needs from a model folder: config.json, the headers of the weights, the tokenizer's
 * ids. A folder without weights is profiled from shapes, with weightsPresent false. Throws EspalierError
 * naming the file; every code is terminal.
 */
export const readModelProfile = async (
  uri: string,
  { baseDirectory = '.' }: { baseDirectory?: string } = {},
): Promise<ModelProfile> => {
  const folder = resolveModelFolder(uri, baseDirectory);
  const names = await listModelFolder(folder);
  const configFile = join(folder, configName);
  const { text, value } = await readJson(configFile, {
    maxBytes: maxConfigBytes,
    malformed: 'ModelConfigInvalid',
  });
  const config = parseConfig(value, configFile);
  const weights = await readStoredWeights(folder, names);
  const tokenizer = await readTokenizer(folder, names, config.shape, weights !== undefined);
  const digest = createHash('sha256').update(text).update('\0').update(tokenizer);
  for (const part of weights?.fingerprint ?? []) digest.update('\0').update(part);
  return {
    uri,
    revision: digest.digest('hex'),
    weightsPresent: weights !== undefined,
    basis: 'Architecture',
    ...sizesOf(config, weights),
    ...(Object.keys(config.unsupportedBy).length > 0 && { unsupportedBy: config.unsupportedBy }),
  };
};

/**
 * A readModelProfile that reads a folder again only when names, sizes or times of its files have changed.
 * Errors are not remembered.
 */
export const createModelProfileReader = (options: {
  baseDirectory?: string;
}): ((uri: string) => Promise<ModelProfile>) => {
  const remembered = new Map<string, { fingerprint: string; profile: ModelProfile }>();
  return async (uri) => {
    const fingerprint = await statFingerprint(uri, options.baseDirectory ?? '.');
    const known = remembered.get(uri);
    if (known?.fingerprint === fingerprint) return known.profile;
    remembered.delete(uri);
    const profile = await readModelProfile(uri, options);
    const [oldest] = remembered.keys();
    if (oldest !== undefined && remembered.size >= mostRemembered) remembered.delete(oldest);
    remembered.set(uri, { fingerprint, profile });
    return profile;
  };
};

/** Names, sizes and times of the folder's JSON and safetensors files: cheap, and enough to look again. */
const statFingerprint = async (uri: string, baseDirectory: string): Promise<string> => {
  const folder = resolveModelFolder(uri, baseDirectory);
  const names = (await listModelFolder(folder)).filter((name) =>
    /\.(json|safetensors)$/.test(name),
  );
  const facts = await Promise.all(
    names.map(async (name) => {
      // A dangling link or a file that went meanwhile is for the full reading to report.
      const found = await stat(join(folder, name)).catch(() => undefined);
      return [name, found?.size, found?.mtimeMs, found?.ino].join(' ');
    }),
  );
  return facts.join('\n');
};

/** The tokenizer's text; needed by every folder that can be started. */
const readTokenizer = async (
  folder: string,
  names: readonly string[],
  { vocabSize }: ModelShape,
  weightsPresent: boolean,
): Promise<string> => {
  const file = join(folder, tokenizerName);
  if (!names.includes(tokenizerName)) {
    if (!weightsPresent) return '';
    throw new EspalierError(
      'TokenizerInvalid',
      `${file}: expected the model's tokenizer, there is none`,
      { file },
    );
  }
  const { text, value } = await readJson(file, {
    maxBytes: maxTokenizerBytes,
    malformed: 'TokenizerInvalid',
  });
  checkTokenizer(value, file, vocabSize);
  return text;
};

const sizesOf = (parsed: ParsedConfig, weights: StoredWeights | undefined) => {
  const { shape, widths, unsupportedBy } = parsed;
  const tiedEmbeddings =
    shape.tiedEmbeddings ?? (weights !== undefined && !weights.tensors.has('lm_head.weight'));
  // What the built-in engine is to load is checked here, tensor by tensor, before a rank is started.
  const strict =
    builtInEngine.architectures.includes(shape.architecture) &&
    unsupportedBy['BuiltIn'] === undefined;
  const sizes = sizeModel(parsed, tiedEmbeddings, (module) =>
    weights && strict ? storedBytes(weights, widths, module) : impliedBytes(widths, module),
  );
  // Tensors that config.json does not imply (an unused head, old rotary tables) are on disk, not in memory.
  return weights ? { ...sizes, totalBytes: weights.totalBytes } : sizes;
};
