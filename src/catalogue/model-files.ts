import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { EspalierError } from '../base/errors.ts';
import type { ErrorCode } from '../base/errors.ts';

export const configName = 'config.json';
export const tokenizerName = 'tokenizer.json';
export const indexName = 'model.safetensors.index.json';

/** Names of all entries of the folder; ModelFolderMissing when there is none, or no config.json in it. */
export const listModelFolder = async (folder: string): Promise<string[]> => {
  const names = await readdir(folder).catch((cause: unknown) => {
    if (!isAbsent(cause)) throw cause;
    throw new EspalierError(
      'ModelFolderMissing',
      `${folder}: expected a model folder with ${configName}, there is none`,
      { file: folder },
      { cause },
    );
  });
  if (!names.includes(configName)) {
    const file = join(folder, configName);
    throw new EspalierError(
      'ModelFolderMissing',
      `${file}: expected the model's configuration, the folder has ${names.length} entries but not this one`,
      { file },
    );
  }
  return names.toSorted();
};

/** The file's text and what JSON it holds; `malformed` is the code for what is too large or no JSON. */
export const readJson = async (
  file: string,
  { maxBytes, malformed }: { maxBytes: number; malformed: ErrorCode },
): Promise<{ text: string; value: unknown }> => {
  const size = (await statFile(file)).size;
  if (size > maxBytes) {
    throw new EspalierError(
      malformed,
      `${file}: expected at most ${maxBytes} bytes of JSON, got ${size}`,
      { file, sizeBytes: size },
    );
  }
  const text = await readFile(file, 'utf8');
  try {
    return { text, value: JSON.parse(withoutInfinities(text)) };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new EspalierError(malformed, `${file}: expected JSON: ${why}`, { file }, { cause });
  }
};

/** Python writes Infinity and NaN, which are no JSON, for limits that there are none of: null says the same. */
const withoutInfinities = (text: string): string =>
  /Infinity|NaN/.test(text)
    ? text.replaceAll(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (found) =>
        found.startsWith('"') ? found : 'null',
      )
    : text;

/** Size and times of a file that must be there: ModelFileMissing otherwise. */
export const statFile = async (file: string, because = '') => {
  const facts = await stat(file).catch((cause: unknown) => {
    if (!isAbsent(cause)) throw cause;
    throw new EspalierError(
      'ModelFileMissing',
      `${file}: expected a file that can be read${because}, there is none`,
      { file },
      { cause },
    );
  });
  if (facts.isFile()) return facts;
  throw new EspalierError('ModelFileMissing', `${file}: expected a file, found a folder`, { file });
};

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isAbsent = (cause: unknown): boolean =>
  cause instanceof Error &&
  'code' in cause &&
  ['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP', 'ENAMETOOLONG'].includes(String(cause.code));
