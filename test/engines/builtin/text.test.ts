/** From tokens to text: what is written piece by piece is what would be written at once. */
import assert from 'node:assert/strict';
import test from 'node:test';

import * as fc from '../../support/fast-check.ts';

import { Detokenizer } from '../../../src/engines/builtin/detokenizer.ts';
import { loadModelTokenizer } from '../../../src/engines/builtin/model-tokenizer.ts';
import { StopStrings } from '../../../src/engines/builtin/stop-strings.ts';
import { sproutFolder } from './group.ts';

const tokenizer = await loadModelTokenizer(sproutFolder, 2048);

const piecesOf = (tokens: readonly number[]): string[] => {
  const detokenizer = new Detokenizer(tokenizer.decode);
  return [...tokens.map((token) => detokenizer.push(token)), detokenizer.flush()];
};

test('a character that takes several tokens comes whole', () => {
  const text = 'naïve 😀 日本語 – “end”';
  const tokens = tokenizer.encode(text);
  assert.ok(tokens.length > text.length);
  const pieces = piecesOf(tokens);
  assert.equal(pieces.join(''), text);
  for (const piece of pieces) assert.ok(!piece.includes('\uFFFD') && piece.isWellFormed());
});

test('pieces of any text are that text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
      assert.equal(
        piecesOf(tokenizer.encode(text)).join(''),
        tokenizer.decode(tokenizer.encode(text)),
      );
    }),
  );
});

test('bytes that are never a character are not held back for ever', () => {
  const detokenizer = new Detokenizer(tokenizer.decode);
  const lead = tokenizer.encode('😀').at(-2)!;
  const texts = Array.from({ length: 40 }, () => detokenizer.push(lead));
  assert.ok(texts.join('').length > 0);
});

test('special tokens and tokens beyond the vocabulary are no text', () => {
  assert.equal(tokenizer.decode([0, 5000, 1]), '');
  assert.equal(tokenizer.decode([]), '');
  assert.equal(tokenizer.beginToken, 0);
  assert.deepEqual(tokenizer.stopTokens, [1]);
});

test('text ends before the first stop string, however it is cut', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(letters), fc.array(letters, { maxLength: 3 }), (pieces, stops) => {
      const filter = new StopStrings(stops);
      let written = '';
      let isStopped = false;
      for (const piece of pieces) {
        const { text, stopped } = filter.push(piece);
        written += text;
        isStopped = stopped;
        if (stopped) break;
      }
      if (!isStopped) written += filter.flush();
      const whole = pieces.join('');
      const ends = stops.map((stop) => whole.indexOf(stop)).filter((index) => index >= 0);
      assert.equal(isStopped, ends.length > 0);
      // A stop string is seen when its last letter comes: one that begins later but ends earlier wins.
      if (isStopped) assert.ok(whole.startsWith(written) && written.length >= Math.min(...ends));
      else assert.equal(written, whole);
      for (const stop of stops) assert.ok(!written.includes(stop));
    }),
  );
});
