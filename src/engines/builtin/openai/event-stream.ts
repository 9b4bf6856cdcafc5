import { EspalierError } from '../../../base/errors.ts';
import type { TextPiece } from '../generation.ts';
import type { AnswerHead, AnswerShape } from './answers.ts';
import { usageOf } from './answers.ts';
import { toApiError } from './api-error.ts';

export interface EventStreamOptions {
  shape: AnswerShape;
  head: AnswerHead;
  promptTokens: number;
  includeUsage: boolean;
}

/**
 * Server-sent events of one answer, as OpenAI sends them. An error after the first event is an event too,
 * and the stream then ends without [DONE].
 */
export async function* eventStream(
  pieces: AsyncIterable<TextPiece>,
  { shape, head, promptTokens, includeUsage }: EventStreamOptions,
): AsyncGenerator<string, void, undefined> {
  const chunk = (choices: object[], usage: object | null = null) =>
    event({
      ...head,
      object: shape.chunkObject,
      choices,
      ...(includeUsage && { usage }),
    });
  try {
    if (shape.first) yield chunk([shape.first]);
    let tokens = 0;
    for await (const piece of pieces) {
      ({ tokens } = piece);
      if (!piece.finish) yield chunk([shape.delta(piece.text, undefined)]);
      else {
        if (piece.text !== '') yield chunk([shape.delta(piece.text, undefined)]);
        yield chunk([shape.delta('', piece.finish)]);
      }
    }
    if (includeUsage) yield chunk([], usageOf(promptTokens, tokens));
    yield 'data: [DONE]\n\n';
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    yield event(toApiError(error).body);
  }
}

const event = (data: object): string => `data: ${JSON.stringify(data)}\n\n`;

/**
 * The same pieces once the first has come, so that what fails before it is answered with an HTTP status,
 * which a router may retry, and not with 200 and an event.
 */
export const withFirst = async <T>(
  pieces: AsyncGenerator<T, void, undefined>,
): Promise<AsyncGenerator<T, void, undefined>> => {
  const first = await pieces.next();
  return (async function* () {
    try {
      if (first.done) return;
      yield first.value;
      yield* pieces;
    } finally {
      await pieces.return();
    }
  })();
};
