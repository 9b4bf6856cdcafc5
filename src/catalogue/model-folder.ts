import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { EspalierError } from '../base/errors.ts';
import { builtInEngine } from './engine-capabilities.ts';
import { findGguf } from './gguf-files.ts';
import { configName, listModelFolder, readJson, tokenizerName } from './model-files.ts';
import type { ModelProfile } from './model-profile.ts';
import { resolveModel } from './model-uri.ts';
import { mayHaveWeights, readStoredWeights, storedBytes } from './model-weights.ts';
import type { StoredWeights } from './model-weights.ts';
import {
  impliedBytes,
  isKnownArchitecture,
  openConfig,
  parseConfig,
  sizeModel,
} from './profile.ts';
import type { ParsedConfig, SizedModel } from './profile.ts';
import { checkTokenizer } from './tokenizer-file.ts';
import { sizeByTensors } from './unknown-model.ts';

const maxConfigBytes = 4 * 2 ** 20;
const maxTokenizerBytes = 128 * 2 ** 20;
const mostRemembered = 64;

/**
 * Reads what planning needs from a model folder: config.json, the headers of the weights, the tokenizer's
 * ids. A folder without weights is profiled from shapes, with weightsPresent false; one of an unknown
 * architecture from the headers alone. A URI that ends in `.gguf`, GGUF files in the folder, or a GGUF type in its
 * name say how wide the weights are. `planOnly`: weights do without a tokenizer. Throws EspalierError naming the file;
 * every code is terminal.
 */
export const readModelProfile = async (
  uri: string,
  { baseDirectory = '.', planOnly = false }: { baseDirectory?: string; planOnly?: boolean } = {},
): Promise<ModelProfile> => {
  const place = resolveModel(uri, baseDirectory);
  const { folder } = place;
  const names = await listModelFolder(folder);
  const configFile = join(folder, configName);
  const { text, value } = await readJson(configFile, {
    maxBytes: maxConfigBytes,
    malformed: 'ModelConfigInvalid',
  });
  const { fields, architecture } = openConfig(value, configFile);
  const isKnown = isKnownArchitecture(architecture);
  const hasTensors = place.ggufFile === undefined && mayHaveWeights(names);
  const gguf = hasTensors ? undefined : await findGguf(place, names);
  // What config.json says is checked before any other file is read.
  const config = isKnown || !hasTensors ? parseConfig(value, configFile, gguf?.type) : undefined;
  const weights = hasTensors ? await readStoredWeights(folder, names) : undefined;
  const sized = config
    ? sizesOf(config, weights)
    : sizeByTensors(fields, architecture, weights?.tensors ?? new Map());
  const isNeeded = weights !== undefined && !planOnly;
  const tokenizer = await readTokenizer(folder, names, sized, isNeeded);
  const lacks = weights && !names.includes(tokenizerName);
  const digest = createHash('sha256').update(text).update('\0').update(tokenizer);
  for (const part of [...(weights?.fingerprint ?? []), ...(gguf?.fingerprint ?? [])]) {
    digest.update('\0').update(part);
  }
  const ggufBytes = gguf?.totalBytes ?? 0;
  return {
    uri,
    revision: digest.digest('hex'),
    weightsPresent: weights !== undefined || ggufBytes > 0,
    basis: config?.basis ?? 'Tensors',
    ...sized,
    ...(lacks && { notes: [...(sized.notes ?? []), withoutTokenizer] }),
    ...(ggufBytes > 0 && { totalBytes: ggufBytes }),
    ...(config && hasEntries(config.unsupportedBy) && { unsupportedBy: config.unsupportedBy }),
  };
};

const withoutTokenizer = `The folder has no ${tokenizerName}: this can be planned, not started.`;

const hasEntries = (value: object): boolean => Object.keys(value).length > 0;

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
  const { folder } = resolveModel(uri, baseDirectory);
  const names = (await listModelFolder(folder)).filter((name) =>
    /\.(json|safetensors|gguf)$/i.test(name),
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
  { vocabSize }: Pick<ModelProfile, 'vocabSize'>,
  isNeeded: boolean,
): Promise<string> => {
  const file = join(folder, tokenizerName);
  if (!names.includes(tokenizerName)) {
    if (!isNeeded) return '';
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

const sizesOf = (parsed: ParsedConfig, weights: StoredWeights | undefined): SizedModel => {
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
