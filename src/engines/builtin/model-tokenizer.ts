import { join } from 'node:path';

import { Template } from '@huggingface/jinja';
import { Tokenizer } from '@huggingface/tokenizers';

import { EspalierError, errorMessage } from '../../base/errors.ts';
import { readChatTemplate } from './chat-template.ts';
import type { Decode } from './detokenizer.ts';
import { isObject, readJsonObject } from './json-file.ts';
import type { JsonObject } from './json-file.ts';

export interface ChatMessage {
  role: string;
  content: string;
}

/** Text to tokens and back, for one model folder, with Hugging Face's own libraries. */
export interface ModelTokenizer {
  /** Tokens of a prompt, with the ones that the model expects at the beginning. */
  readonly encode: (text: string) => number[];
  /** Text without special tokens; ids that the tokenizer does not know are nothing. */
  readonly decode: Decode;
  /** Undefined: the model has no chat template. `render` throws what the template raises, for instance on a role it does not know. */
  chat: { encode(messages: readonly ChatMessage[]): number[] } | undefined;
  /** Begins a text; 0 when the model names none. */
  beginToken: number;
  /** Any of these ends a text. */
  stopTokens: number[];
  /** No token is written with more characters: so long a text has at least length / this tokens. */
  longestTokenCharacters: number;
  vocabSize: number;
}

/**
 * Reads tokenizer.json, tokenizer_config.json, the chat template and the special tokens of a model folder.
 * Throws TokenizerInvalid, naming the file, when the tokenizer is absent, malformed or of another model:
 * `vocabSize` is the model's, and every token must have a row of embeddings.
 */
export const loadModelTokenizer = async (
  folder: string,
  vocabSize: number,
): Promise<ModelTokenizer> => {
  const file = join(folder, 'tokenizer.json');
  const definition = await readJsonObject(file, 'TokenizerInvalid');
  if (!definition) throw invalid(file, 'there is no such file');
  const config = await readJsonObject(join(folder, 'tokenizer_config.json'), 'TokenizerInvalid');
  const tokenizer = create(file, definition, config ?? {});
  const vocabulary = tokenizer.get_vocab(true);
  checkVocabulary(file, vocabulary, vocabSize);

  const known = (token: number) => tokenizer.id_to_token(token) !== undefined;
  const decode = (tokens: readonly number[]) => {
    const ids = tokens.filter(known);
    return ids.length === 0 ? '' : tokenizer.decode(ids, { skip_special_tokens: true });
  };
  const special = await readSpecialTokens(folder, config ?? {}, vocabulary);
  return {
    encode: (text) => tokenizer.encode(text, { add_special_tokens: true }).ids,
    decode,
    chat: await createChat(folder, config ?? {}, tokenizer),
    ...special,
    longestTokenCharacters: longestKey(vocabulary),
    vocabSize,
  };
};

const create = (file: string, definition: JsonObject, config: JsonObject): Tokenizer => {
  try {
    return new Tokenizer(definition, config);
  } catch (error) {
    throw invalid(file, errorMessage(error), error);
  }
};

const checkVocabulary = (file: string, vocabulary: Map<string, number>, vocabSize: number) => {
  if (vocabulary.size === 0) throw invalid(file, 'its vocabulary is empty');
  for (const id of vocabulary.values()) {
    if (Number.isInteger(id) && id >= 0 && id < vocabSize) continue;
    throw invalid(
      file,
      `expected token ids below the model's vocab_size ${vocabSize}, got ${id}; this tokenizer belongs to another model`,
    );
  }
};

const createChat = async (
  folder: string,
  config: JsonObject,
  tokenizer: Tokenizer,
): Promise<ModelTokenizer['chat']> => {
  const found = await readChatTemplate(folder, config);
  if (!found) return undefined;
  let template: Template;
  try {
    template = new Template(found.text);
  } catch (error) {
    throw invalid(found.file, `its chat template can not be read: ${errorMessage(error)}`, error);
  }
  const variables = Object.fromEntries(
    ['bos_token', 'eos_token', 'pad_token', 'unk_token'].map((name) => [
      name,
      tokenText(config[name]) ?? '',
    ]),
  );
  return {
    encode: (messages) => {
      const text = template.render({ ...variables, messages, add_generation_prompt: true });
      return tokenizer.encode(text, { add_special_tokens: false }).ids;
    },
  };
};

/** Ids from generation_config.json before config.json before the tokenizer's own names, as mlx-lm takes them. */
const readSpecialTokens = async (
  folder: string,
  tokenizerConfig: JsonObject,
  vocabulary: Map<string, number>,
): Promise<{ beginToken: number; stopTokens: number[] }> => {
  const generation = await readJsonObject(
    join(folder, 'generation_config.json'),
    'ModelConfigInvalid',
  );
  const model = await readJsonObject(join(folder, 'config.json'), 'ModelConfigInvalid');
  const named = (name: string) => vocabulary.get(tokenText(tokenizerConfig[name]) ?? '');
  const ids = (name: string) =>
    [generation?.[name], model?.[name], named(name.replace('_id', ''))].flatMap(tokenIds);
  return { beginToken: ids('bos_token_id')[0] ?? 0, stopTokens: [...new Set(ids('eos_token_id'))] };
};

const tokenIds = (value: unknown): number[] =>
  (Array.isArray(value) ? value : [value]).filter((id) => Number.isInteger(id)) as number[];

/** Special tokens are written as text or as an object with its content. */
const tokenText = (value: unknown): string | undefined => {
  if (typeof value === 'string') return value;
  return isObject(value) && typeof value['content'] === 'string' ? value['content'] : undefined;
};

const longestKey = (vocabulary: Map<string, number>): number => {
  let longest = 1;
  for (const key of vocabulary.keys()) longest = Math.max(longest, key.length);
  return longest;
};

const invalid = (file: string, what: string, cause?: unknown) =>
  new EspalierError('TokenizerInvalid', `${file}: ${what}`, { file }, { cause });
