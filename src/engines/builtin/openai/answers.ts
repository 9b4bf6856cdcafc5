import type { TextPiece } from '../generation.ts';

/** The two kinds of answer differ only in their shapes. */
export interface AnswerShape {
  idPrefix: string;
  object: string;
  chunkObject: string;
  choice(text: string, finish: TextPiece['finish']): object;
  /** Choices of the chunks of a stream; `first` comes before any text. */
  first: object | undefined;
  delta(text: string, finish: TextPiece['finish']): object;
}

export const completionShape: AnswerShape = {
  idPrefix: 'cmpl-',
  object: 'text_completion',
  chunkObject: 'text_completion',
  choice: (text, finish) => ({ index: 0, text, logprobs: null, finish_reason: finish ?? null }),
  first: undefined,
  delta: (text, finish) => ({ index: 0, text, logprobs: null, finish_reason: finish ?? null }),
};

export const chatShape: AnswerShape = {
  idPrefix: 'chatcmpl-',
  object: 'chat.completion',
  chunkObject: 'chat.completion.chunk',
  choice: (text, finish) => ({
    index: 0,
    message: { role: 'assistant', content: text, refusal: null },
    logprobs: null,
    finish_reason: finish ?? null,
  }),
  first: {
    index: 0,
    delta: { role: 'assistant', content: '' },
    logprobs: null,
    finish_reason: null,
  },
  delta: (text, finish) => ({
    index: 0,
    delta: text === '' ? {} : { content: text },
    logprobs: null,
    finish_reason: finish ?? null,
  }),
};

/** What every part of an answer carries. */
export interface AnswerHead {
  id: string;
  created: number;
  model: string;
}

/** `completion_tokens` counts what the model computed, the stop token included. */
export const usageOf = (promptTokens: number, completionTokens: number) => ({
  prompt_tokens: promptTokens,
  completion_tokens: completionTokens,
  total_tokens: promptTokens + completionTokens,
});
