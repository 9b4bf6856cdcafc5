import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { EspalierError, errorMessage } from '../../base/errors.ts';
import { isObject } from './json-file.ts';
import type { JsonObject } from './json-file.ts';

/**
 * A model's chat template: chat_template.jinja where there is one (newer models), else `chat_template` of
 * tokenizer_config.json, which is a text or a list of named texts. Undefined when the model has none.
 */
export const readChatTemplate = async (
  folder: string,
  tokenizerConfig: JsonObject,
): Promise<{ file: string; text: string } | undefined> => {
  const file = join(folder, 'chat_template.jinja');
  try {
    return { file, text: await readFile(file, 'utf8') };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      const message = `${file}: ${errorMessage(error)}`;
      throw new EspalierError('TokenizerInvalid', message, { file }, { cause: error });
    }
  }
  const text = inConfig(tokenizerConfig['chat_template']);
  return text === undefined ? undefined : { file: join(folder, 'tokenizer_config.json'), text };
};

const inConfig = (value: unknown): string | undefined => {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return undefined;
  const entry = value.filter(isObject).find(({ name }) => name === 'default');
  return typeof entry?.['template'] === 'string' ? entry['template'] : undefined;
};
