import { readFile } from 'node:fs/promises';

import { EspalierError, errorMessage } from '../../base/errors.ts';
import type { ErrorCode } from '../../base/errors.ts';

export type JsonObject = Record<string, unknown>;

/** The object in a JSON file of a model folder; undefined when there is no such file. Throws `code`, naming the file. */
export const readJsonObject = async (
  file: string,
  code: ErrorCode,
): Promise<JsonObject | undefined> => {
  try {
    const value: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (isObject(value)) return value;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    const message = `${file}: ${errorMessage(error)}`;
    throw new EspalierError(code, message, { file }, { cause: error });
  }
  throw new EspalierError(code, `${file}: expected a JSON object`, { file });
};

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
