import { EspalierError, errorMessage } from '../../../base/errors.ts';
import { isObject } from '../json-file.ts';
import type { JsonObject } from '../json-file.ts';
import type { ChatMessage, ModelTokenizer } from '../model-tokenizer.ts';
import { ApiError, invalidParameter } from './api-error.ts';
import { wrongType } from './parameters.ts';

const roles = ['system', 'developer', 'user', 'assistant'];

/** Tokens of the `prompt` of /v1/completions: a string or a list of token ids, or one of them in a list. */
export const completionPrompt = (
  body: JsonObject,
  tokenizer: ModelTokenizer,
  contextLength: number,
): number[] => {
  const prompt = single(body['prompt']);
  if (typeof prompt === 'string') {
    refuseOverlong(prompt.length, tokenizer, contextLength);
    return nonEmpty(tokenizer.encode(prompt));
  }
  if (!Array.isArray(prompt)) throw wrongType('prompt', 'a string or a list of token ids');
  const { vocabSize } = tokenizer;
  const isToken = (id: unknown) =>
    Number.isInteger(id) && Number(id) >= 0 && Number(id) < vocabSize;
  if (!prompt.every(isToken)) {
    const message = `Invalid 'prompt': expected token ids from 0 to ${vocabSize - 1}.`;
    throw invalidParameter('prompt', message, 'invalid_value');
  }
  return nonEmpty(prompt as number[]);
};

/** Tokens of the `messages` of /v1/chat/completions, through the model's chat template. */
export const chatPrompt = (
  body: JsonObject,
  tokenizer: ModelTokenizer,
  contextLength: number,
): number[] => {
  const messages = readMessages(body['messages']);
  if (!tokenizer.chat) {
    throw new ApiError(400, 'This model has no chat template: use /v1/completions.', {
      param: 'messages',
      code: 'chat_not_supported',
    });
  }
  const characters = messages.reduce((sum, { content }) => sum + content.length, 0);
  refuseOverlong(characters, tokenizer, contextLength);
  try {
    return nonEmpty(tokenizer.chat.encode(messages));
  } catch (error) {
    if (error instanceof ApiError) throw error;
    const message = `The model's chat template refuses these messages: ${errorMessage(error)}`;
    throw invalidParameter('messages', message, 'invalid_value');
  }
};

/** A client may wrap its one prompt in a list; several prompts are several requests. */
const single = (prompt: unknown): unknown => {
  if (!Array.isArray(prompt) || prompt.every((entry) => typeof entry === 'number')) return prompt;
  if (prompt.length === 1) return prompt[0] as unknown;
  const message = `Expected one prompt, got ${prompt.length}: send one request for each.`;
  throw invalidParameter('prompt', message, 'unsupported_value');
};

const readMessages = (value: unknown): ChatMessage[] => {
  if (!Array.isArray(value) || value.length === 0) {
    throw wrongType('messages', 'a list with at least one message');
  }
  return value.map((message: unknown, index) => {
    const param = `messages[${index}]`;
    if (!isObject(message)) throw wrongType(param, 'an object');
    const { role, content } = message;
    if (typeof role !== 'string' || !roles.includes(role)) {
      throw invalidParameter(`${param}.role`, `Expected a role of ${roles.join(', ')}.`);
    }
    // Templates of open models know the system role only; to OpenAI the two are the same since 2024.
    return { role: role === 'developer' ? 'system' : role, content: readContent(content, param) };
  });
};

const readContent = (content: unknown, param: string): string => {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) throw wrongType(`${param}.content`, 'a string or a list of parts');
  return content
    .map((part: unknown) => {
      if (isObject(part) && part['type'] === 'text' && typeof part['text'] === 'string') {
        return part['text'];
      }
      throw invalidParameter(`${param}.content`, 'Only parts of type text are supported.');
    })
    .join('');
};

/** Refuses what can not fit before the time is spent to cut it into tokens. */
const refuseOverlong = (
  characters: number,
  tokenizer: ModelTokenizer,
  contextLength: number,
): void => {
  const atLeast = Math.ceil(characters / tokenizer.longestTokenCharacters);
  if (atLeast < contextLength) return;
  throw new EspalierError(
    'ContextLengthExceeded',
    `This model's context is ${contextLength} tokens; the prompt has ${atLeast} or more and at least one is needed for the answer.`,
  );
};

const nonEmpty = (tokens: number[]): number[] => {
  if (tokens.length > 0) return tokens;
  throw invalidParameter('prompt', 'Expected a prompt of at least one token, got none.');
};
