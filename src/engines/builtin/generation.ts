import { Detokenizer } from './detokenizer.ts';
import type { Decode } from './detokenizer.ts';
import { StopStrings } from './stop-strings.ts';
import type { TokenStream } from './token-streams.ts';

export interface TextPiece {
  text: string;
  /** Tokens generated so far, the one that ended the text included. */
  tokens: number;
  /** Set on the last piece. */
  finish: 'stop' | 'length' | undefined;
}

/**
 * The text of a request, piece by piece. Ends after the piece with `finish`, or without one when the stream was
 * cancelled. Cancels the stream when a stop string came or when nobody reads on.
 */
export async function* generateText(
  stream: TokenStream,
  options: { decode: Decode; promptTokens: readonly number[]; stop: readonly string[] },
): AsyncGenerator<TextPiece, void, undefined> {
  const detokenizer = new Detokenizer(options.decode, options.promptTokens);
  const stops = new StopStrings(options.stop);
  let tokens = 0;
  try {
    for await (const { token, finish } of stream) {
      tokens += 1;
      // A stop token is not text.
      let piece = finish === 'stop' ? '' : detokenizer.push(token);
      if (finish) piece += detokenizer.flush();
      const { text, stopped } = stops.push(piece);
      if (stopped || finish) {
        const rest = stopped ? '' : stops.flush();
        yield { text: text + rest, tokens, finish: stopped ? 'stop' : finish };
        return;
      }
      if (text !== '') yield { text, tokens, finish: undefined };
    }
  } finally {
    stream.cancel();
  }
}
