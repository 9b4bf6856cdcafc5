import { join } from 'node:path';
import { EspalierError } from '../base/errors.ts';
import { indexName, isRecord, readJson, statFile } from './model-files.ts';
import type { ModelModule } from './model-shape.ts';
import type { ModuleBytes } from './profile.ts';
import { readSafetensorsHeader } from './safetensors-header.ts';
import type { TensorFacts } from './safetensors-header.ts';
import type { Widths } from './weight-width.ts';

const maxIndexBytes = 64 * 2 ** 20;

export interface StoredWeights {
  folder: string;
  tensors: Map<string, TensorFacts>;
  totalBytes: number;
  /** For the digest, file by file. */
  fingerprint: (string | Buffer)[];
}

/** Whether `readStoredWeights` will find something to read. */
export const mayHaveWeights = (names: readonly string[]): boolean =>
  names.some(isWeightsFile) ||
  (names.includes(indexName) && names.some((name) => name.endsWith('.safetensors')));

const isWeightsFile = (name: string): boolean => /^model.*\.safetensors$/.test(name);

/**
 * The headers of the files that model.safetensors.index.json names, else of all that match
 * model*.safetensors; undefined when the folder has neither. An index alone is none: not one of its files is there.
 */
export const readStoredWeights = async (
  folder: string,
  names: readonly string[],
): Promise<StoredWeights | undefined> => {
  const files = names.includes(indexName)
    ? await indexedFiles(join(folder, indexName))
    : names.filter(isWeightsFile);
  if (files.length === 0) return undefined;
  const weights: StoredWeights = { folder, tensors: new Map(), totalBytes: 0, fingerprint: [] };
  for (const name of files) {
    const file = join(folder, name);
    await statFile(file, names.includes(indexName) ? ` (${indexName} names it)` : '');
    const { tensors, sizeBytes, fingerprint } = await readSafetensorsHeader(file);
    for (const [tensor, facts] of tensors) {
      const twin = weights.tensors.get(tensor);
      if (twin) throw invalid(file, `tensor ${tensor} is in ${twin.file} as well`);
      weights.tensors.set(tensor, facts);
      weights.totalBytes += facts.bytes;
    }
    weights.fingerprint.push(`${name} ${sizeBytes}`, ...fingerprint);
  }
  return weights;
};

const indexedFiles = async (file: string): Promise<string[]> => {
  const { value } = await readJson(file, {
    maxBytes: maxIndexBytes,
    malformed: 'SafetensorsInvalid',
  });
  const map = isRecord(value) ? value['weight_map'] : undefined;
  if (!isRecord(map) || Object.keys(map).length === 0) {
    throw invalid(file, 'expected a weight_map that names a file for each tensor');
  }
  const names = Object.entries(map).map(([tensor, name]) => {
    if (typeof name === 'string' && name !== '' && !/[/\\\0]/.test(name)) return name;
    throw invalid(file, `weight_map: ${tensor}: expected the name of a file in the same folder`);
  });
  return [...new Set(names)].toSorted();
};

/** From the headers, each tensor checked: TensorMissing, TensorShapeMismatch. */
export const storedBytes = (
  weights: StoredWeights,
  widths: Widths,
  module: ModelModule,
): ModuleBytes => {
  const { name, rows, columns, bias } = module;
  const find = (suffix: string, shape: number[], packed = false) =>
    checkedBytes(weights, `${name}.${suffix}`, shape, packed);
  const biasBytes = bias ? find('bias', [rows]) : 0;
  if (columns === 0) return { weightBytes: find('weight', [rows]), biasBytes };
  // MLX's own rule: a layer is quantised when its scales are there.
  const width = widths.of(name);
  if (width.format === 'Float' || !weights.tensors.has(`${name}.scales`)) {
    return { weightBytes: find('weight', [rows, columns]), biasBytes };
  }
  const groups = [rows, columns / width.groupSize];
  const packed = [rows, (columns * width.bits) / 32];
  return {
    weightBytes: find('weight', packed, true) + find('scales', groups) + find('biases', groups),
    biasBytes,
  };
};

const checkedBytes = (
  { folder, tensors }: StoredWeights,
  name: string,
  shape: number[],
  packed: boolean,
): number => {
  const found = tensors.get(name);
  if (!found) {
    throw new EspalierError(
      'TensorMissing',
      `${folder}: expected tensor ${name}, no file of weights has it`,
      { file: folder, tensor: name },
    );
  }
  const wanted = packed ? ['U32'] : ['F32', 'F16', 'BF16'];
  const fits =
    found.shape.length === shape.length && found.shape.every((size, at) => size === shape[at]);
  if (fits && wanted.includes(found.dtype)) return found.bytes;
  throw new EspalierError(
    'TensorShapeMismatch',
    `${found.file}: tensor ${name}: expected ${wanted.join(' or ')} [${shape.join(', ')}] as config.json implies, got ${found.dtype} [${found.shape.join(', ')}]`,
    { file: found.file, tensor: name },
  );
};

const invalid = (file: string, what: string) =>
  new EspalierError('SafetensorsInvalid', `${file}: ${what}`, { file });
