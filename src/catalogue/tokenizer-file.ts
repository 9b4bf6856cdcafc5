import { EspalierError } from '../base/errors.ts';
import { isRecord } from './model-files.ts';

/**
 * Checks that the value of tokenizer.json is a tokenizer of a model with `vocabSize` rows of embeddings:
 * a token beyond them has no embedding, so such a file belongs to another model.
 */
export const checkTokenizer = (value: unknown, file: string, vocabSize: number): void => {
  const model = isRecord(value) ? value['model'] : undefined;
  if (!isRecord(value) || !isRecord(model)) throw invalid(file, 'expected an object with a model');
  const ids = [...vocabularyIds(model['vocab'], file), ...addedIds(value['added_tokens'], file)];
  if (ids.length === 0) throw invalid(file, 'its vocabulary is empty');
  const largest = ids.reduce((max, id) => Math.max(max, id), 0);
  if (largest < vocabSize) return;
  throw new EspalierError(
    'TokenizerInvalid',
    `${file}: token id ${largest} is beyond the model's vocab_size ${vocabSize}; this tokenizer belongs to another model`,
    { file, largestTokenID: largest, vocabSize },
  );
};

/** Byte-pair and word models map pieces to ids; unigram models list pieces in order. */
const vocabularyIds = (vocab: unknown, file: string): number[] => {
  if (Array.isArray(vocab)) return vocab.length === 0 ? [] : [vocab.length - 1];
  if (!isRecord(vocab)) throw invalid(file, 'model.vocab: expected an object or a list');
  return Object.entries(vocab).map(([, id]) => tokenId(id, file, 'model.vocab'));
};

const addedIds = (added: unknown, file: string): number[] => {
  if (added === undefined || added === null) return [];
  if (!Array.isArray(added)) throw invalid(file, 'added_tokens: expected a list');
  return added.map((token) => tokenId(isRecord(token) ? token['id'] : token, file, 'added_tokens'));
};

const tokenId = (id: unknown, file: string, where: string): number => {
  if (typeof id === 'number' && Number.isSafeInteger(id) && id >= 0) return id;
  throw invalid(file, `${where}: expected token ids, got ${JSON.stringify(id)?.slice(0, 40)}`);
};

const invalid = (file: string, what: string) =>
  new EspalierError('TokenizerInvalid', `${file}: ${what}`, { file });
