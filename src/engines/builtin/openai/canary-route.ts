import type { FastifyReply } from 'fastify';

import { generateText } from '../generation.ts';
import type { ServedModel } from './completions.ts';

/**
 * Returns when a token has come through all ranks since the call. While there is a free slot it asks for one
 * itself; in a full house it takes the next step that the group completes for somebody else, so that
 * a busy group is never taken for a dead one.
 */
export const answerCanary = async (
  { streams, tokenizer }: ServedModel,
  slots: number,
  reply: FastifyReply,
): Promise<void> => {
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  if (streams.size >= slots) return streams.nextStep(gone.signal);
  const promptTokens = [tokenizer.beginToken];
  const stream = streams.submit({
    promptTokens: Int32Array.from(promptTokens),
    stopTokenIds: new Int32Array(),
    maxTokens: 1,
    temperature: 0,
    topP: 1,
    seed: 0n,
  });
  gone.signal.addEventListener('abort', () => stream.cancel(), { once: true });
  const pieces = generateText(stream, { decode: tokenizer.decode, promptTokens, stop: [] });
  for await (const piece of pieces) if (piece.finish) return;
  gone.signal.throwIfAborted();
};
