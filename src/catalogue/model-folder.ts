import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { EspalierError } from '../base/errors.ts';
import { parseModelConfig } from './model-config.ts';
import type { ModelConfig } from './model-config.ts';
import { configName, listModelFolder, readJson, tokenizerName } from './model-files.ts';
import type { ModelProfile } from './model-profile.ts';
import { expectedModules } from './model-tensors.ts';
import { resolveModelFolder } from './model-uri.ts';
import { impliedBytes, readStoredWeights, storedBytes } from './model-weights.ts';
import type { StoredWeights } from './model-weights.ts';
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
  const config = parseModelConfig(value, configFile);
  const weights = await readStoredWeights(folder, names);
  const tokenizer = await readTokenizer(folder, names, config, weights !== undefined);
  const digest = createHash('sha256').update(text).update('\0').update(tokenizer);
  for (const part of weights?.fingerprint ?? []) digest.update('\0').update(part);
  return {
    uri,
    revision: digest.digest('hex'),
    weightsPresent: weights !== undefined,
    ...shapeOf(config),
    ...sizesOf(config, weights),
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
  config: ModelConfig,
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
  checkTokenizer(value, file, config.vocabSize);
  return text;
};

const shapeOf = (config: ModelConfig) => ({
  architecture: config.architecture,
  layers: config.layers,
  hiddenSize: config.hiddenSize,
  intermediateSize: config.intermediateSize,
  heads: config.heads,
  kvHeads: config.kvHeads,
  headDim: config.headDim,
  vocabSize: config.vocabSize,
  maxPositions: config.maxPositions,
  ...(config.quantization ? { quantization: config.quantization } : {}),
});

const sizesOf = (config: ModelConfig, weights: StoredWeights | undefined) => {
  const tiedEmbeddings =
    config.tiedEmbeddings ?? (weights !== undefined && !weights.tensors.has('lm_head.weight'));
  const sizes = {
    tiedEmbeddings,
    totalBytes: 0,
    layerShardedBytes: Array.from({ length: config.layers }, () => 0),
    layerReplicatedBytes: Array.from({ length: config.layers }, () => 0),
    embeddingBytes: 0,
    headBytes: 0,
    otherBytes: 0,
  };
  for (const module of expectedModules(config, tiedEmbeddings)) {
    const { weightBytes, biasBytes } = weights
      ? storedBytes(weights, config, module)
      : impliedBytes(config, module);
    const moduleBytes = weightBytes + biasBytes;
    sizes.totalBytes += moduleBytes;
    const { place, cut } = module;
    if (place === 'Embedding') sizes.embeddingBytes += moduleBytes;
    else if (place === 'Head') sizes.headBytes += moduleBytes;
    else if (place === 'Other') sizes.otherBytes += moduleBytes;
    else {
      const shardedBytes = (cut === 'Nothing' ? 0 : weightBytes) + (cut === 'Rows' ? biasBytes : 0);
      addBytes(sizes.layerShardedBytes, place.layer, shardedBytes);
      addBytes(sizes.layerReplicatedBytes, place.layer, moduleBytes - shardedBytes);
    }
  }
  // Tensors that config.json does not imply (an unused head, old rotary tables) are on disk, not in memory.
  if (weights) sizes.totalBytes = weights.totalBytes;
  return sizes;
};

const addBytes = (bytes: number[], layer: number, more: number): void => {
  bytes[layer] = (bytes[layer] ?? 0) + more;
};
