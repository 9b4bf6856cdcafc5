import { isObject } from '../json-file.ts';
import type { JsonObject } from '../json-file.ts';
import { ApiError, invalidParameter } from './api-error.ts';

/** What both endpoints have in common, checked and with OpenAI's defaults. */
export interface CompletionParameters {
  model: string;
  /** Undefined: as many as fit. */
  maxTokens: number | undefined;
  temperature: number;
  topP: number;
  /** Undefined: another one for each request. */
  seed: bigint | undefined;
  stop: string[];
  stream: boolean;
  includeUsage: boolean;
}

const read = [
  'model',
  'max_tokens',
  'max_completion_tokens',
  'temperature',
  'top_p',
  'seed',
  'stop',
  'stream',
  'stream_options',
];
/** Bookkeeping of the caller's: what they say changes nothing about the answer. */
const ignored = [
  'user',
  'metadata',
  'store',
  'service_tier',
  'safety_identifier',
  'prompt_cache_key',
  'prompt_cache_retention',
  'parallel_tool_calls',
];
/** Parameters that are not supported, with the values that ask for nothing. */
const neutralValues: Readonly<Record<string, (value: unknown) => boolean>> = {
  n: (value) => value === 1,
  best_of: (value) => value === 1,
  echo: (value) => value === false,
  suffix: (value) => value === '',
  logprobs: (value) => value === false,
  logit_bias: (value) => isObject(value) && Object.keys(value).length === 0,
  presence_penalty: (value) => value === 0,
  frequency_penalty: (value) => value === 0,
  tools: (value) => Array.isArray(value) && value.length === 0,
  tool_choice: (value) => value === 'none' || value === 'auto',
  functions: (value) => Array.isArray(value) && value.length === 0,
  function_call: (value) => value === 'none' || value === 'auto',
  response_format: (value) => isObject(value) && value['type'] === 'text',
  modalities: (value) => Array.isArray(value) && value.length === 1 && value[0] === 'text',
};
const refused = [
  'top_logprobs',
  'audio',
  'prediction',
  'reasoning_effort',
  'verbosity',
  'web_search_options',
  'moderation',
];

/** Throws ApiError 400 that names the first parameter that is wrong, unknown or not supported. `own`: the endpoint's own names. */
export const readParameters = (
  body: JsonObject,
  own: string[],
  defaultMaxTokens: number | undefined,
): CompletionParameters => {
  refuseUnsupported(body, own);
  const stream = flag(body, 'stream');
  const options = body['stream_options'] ?? undefined;
  if (options !== undefined && !isObject(options)) throw wrongType('stream_options', 'an object');
  if (options !== undefined && !stream) {
    throw invalidParameter('stream_options', "'stream_options' is only for 'stream': true.");
  }
  const maxTokens =
    number(body, 'max_completion_tokens', { min: 1, max: 2 ** 31 - 1, integer: true }) ??
    number(body, 'max_tokens', { min: 1, max: 2 ** 31 - 1, integer: true });
  const seed = number(body, 'seed', { min: -(2 ** 63), max: 2 ** 64, integer: true });
  return {
    model: modelName(body),
    maxTokens: maxTokens ?? defaultMaxTokens,
    temperature: number(body, 'temperature', { min: 0, max: 2 }) ?? 1,
    topP: number(body, 'top_p', { min: 0, max: 1 }) ?? 1,
    seed: seed === undefined ? undefined : BigInt.asUintN(64, BigInt(seed)),
    stop: stopStrings(body['stop'] ?? []),
    stream,
    includeUsage: options !== undefined && flag(options, 'include_usage'),
  };
};

const refuseUnsupported = (body: JsonObject, own: string[]): void => {
  for (const [name, value] of Object.entries(body)) {
    if (own.includes(name) || read.includes(name) || ignored.includes(name)) continue;
    if (value === null || neutralValues[name]?.(value)) continue;
    if (name in neutralValues || refused.includes(name)) {
      const message = `This model's engine does not support '${name}' with this value.`;
      throw invalidParameter(name, message, 'unsupported_parameter');
    }
    throw invalidParameter(name, `Unrecognized request argument: ${name}`, 'unknown_parameter');
  }
};

const modelName = (body: JsonObject): string => {
  const name = body['model'];
  if (typeof name === 'string' && name !== '') return name;
  throw new ApiError(400, 'You must provide a model parameter.', { param: 'model' });
};

const flag = (body: JsonObject, name: string): boolean => {
  const value = body[name] ?? false;
  if (typeof value !== 'boolean') throw wrongType(name, 'a boolean');
  return value;
};

const number = (
  body: JsonObject,
  name: string,
  range: { min: number; max: number; integer?: boolean },
): number | undefined => {
  const value = body[name] ?? undefined;
  if (value === undefined) return undefined;
  const kind = range.integer ? 'an integer' : 'a number';
  if (typeof value !== 'number' || (range.integer && !Number.isInteger(value))) {
    throw wrongType(name, kind);
  }
  if (value >= range.min && value <= range.max) return value;
  const message = `Invalid '${name}': expected ${kind} from ${range.min} to ${range.max}, got ${value}.`;
  throw invalidParameter(name, message, 'invalid_value');
};

const stopStrings = (value: unknown): string[] => {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (list.length > 4) {
    throw invalidParameter('stop', `Invalid 'stop': expected up to 4 strings, got ${list.length}.`);
  }
  if (list.every((stop) => typeof stop === 'string' && stop !== '')) return list as string[];
  throw wrongType('stop', 'a string or a list of strings, none of them empty');
};

export const wrongType = (name: string, expected: string): ApiError =>
  invalidParameter(name, `Invalid type for '${name}': expected ${expected}.`, 'invalid_type');
