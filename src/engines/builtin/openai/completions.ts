import { Readable } from 'node:stream';

import type { FastifyReply } from 'fastify';

import type { Clock } from '../../../base/clock.ts';
import type { Random } from '../../../base/random.ts';
import { generateText } from '../generation.ts';
import { isObject } from '../json-file.ts';
import type { JsonObject } from '../json-file.ts';
import type { ModelTokenizer } from '../model-tokenizer.ts';
import type { TokenStream, TokenStreams } from '../token-streams.ts';
import { chatShape, completionShape, usageOf } from './answers.ts';
import type { AnswerHead, AnswerShape } from './answers.ts';
import { ApiError } from './api-error.ts';
import { eventStream, withFirst } from './event-stream.ts';
import { readParameters } from './parameters.ts';
import type { CompletionParameters } from './parameters.ts';
import { chatPrompt, completionPrompt } from './prompt.ts';

export interface ServedModel {
  names: readonly string[];
  contextLength: number;
  tokenizer: ModelTokenizer;
  streams: TokenStreams;
  clock: Clock;
  random: Random;
}

/** Answers POST /v1/completions; throws what toApiError understands. */
export const answerCompletion = async (model: ServedModel, body: unknown, reply: FastifyReply) => {
  const parameters = readParameters(bodyObject(body), ['prompt'], 16);
  requireServed(model, parameters.model);
  const prompt = completionPrompt(bodyObject(body), model.tokenizer, model.contextLength);
  return answer(model, completionShape, prompt, parameters, reply);
};

/** Answers POST /v1/chat/completions. */
export const answerChat = async (model: ServedModel, body: unknown, reply: FastifyReply) => {
  const parameters = readParameters(bodyObject(body), ['messages'], undefined);
  requireServed(model, parameters.model);
  const prompt = chatPrompt(bodyObject(body), model.tokenizer, model.contextLength);
  return answer(model, chatShape, prompt, parameters, reply);
};

const answer = async (
  model: ServedModel,
  shape: AnswerShape,
  prompt: number[],
  parameters: CompletionParameters,
  reply: FastifyReply,
) => {
  const stream = submit(model, prompt, parameters);
  // Whoever asked has gone: the request ends on all ranks.
  reply.raw.once('close', () => stream.cancel());
  const pieces = generateText(stream, {
    decode: model.tokenizer.decode,
    promptTokens: prompt,
    stop: parameters.stop,
  });
  const head = {
    id: shape.idPrefix + randomHex(model.random),
    created: Math.floor(model.clock.now().getTime() / 1000),
    model: parameters.model,
  };
  if (!parameters.stream) return whole(pieces, shape, head, prompt.length);
  const events = eventStream(await withFirst(pieces), {
    shape,
    head,
    promptTokens: prompt.length,
    includeUsage: parameters.includeUsage,
  });
  return reply
    .type('text/event-stream; charset=utf-8')
    .header('cache-control', 'no-cache')
    .send(Readable.from(events));
};

const submit = (
  { streams, tokenizer, contextLength, random }: ServedModel,
  prompt: number[],
  { maxTokens, temperature, topP, seed }: CompletionParameters,
): TokenStream =>
  streams.submit({
    promptTokens: Int32Array.from(prompt),
    stopTokenIds: Int32Array.from(tokenizer.stopTokens),
    maxTokens: Math.min(maxTokens ?? contextLength, contextLength),
    temperature,
    topP,
    seed: seed ?? BigInt(`0x${randomHex(random).slice(0, 16)}`),
  });

const whole = async (
  pieces: ReturnType<typeof generateText>,
  shape: AnswerShape,
  head: AnswerHead,
  promptTokens: number,
) => {
  let text = '';
  for await (const piece of pieces) {
    text += piece.text;
    if (!piece.finish) continue;
    return {
      ...head,
      object: shape.object,
      choices: [shape.choice(text, piece.finish)],
      usage: usageOf(promptTokens, piece.tokens),
    };
  }
  throw new ApiError(499, 'The client closed the request.', { code: 'client_closed_request' });
};

const requireServed = ({ names }: ServedModel, name: string): void => {
  if (names.includes(name)) return;
  throw new ApiError(404, `The model '${name}' does not exist here; served: ${names.join(', ')}.`, {
    param: 'model',
    code: 'model_not_found',
  });
};

const bodyObject = (body: unknown): JsonObject => {
  if (isObject(body)) return body;
  throw new ApiError(400, 'Expected a JSON object as body.');
};

const randomHex = (random: Random): string =>
  Array.from({ length: 6 }, () =>
    Math.floor(random() * 2 ** 16)
      .toString(16)
      .padStart(4, '0'),
  ).join('');
