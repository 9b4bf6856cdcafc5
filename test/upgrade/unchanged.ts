import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { parse } from 'yaml';
import type { NodeDocument } from '../../src/nodedoc/types.ts';
import { maskedDocument } from './recording.ts';
import type { Recording } from './recording.ts';

const folder = fileURLToPath(new URL('../fixtures/upgrade/', import.meta.url));

/** By version and scene. */
export const recordings = (): Map<string, Recording> =>
  new Map(
    globSync(`${folder}**/*.yaml`)
      .toSorted()
      .map((file) => [relative(folder, file), parse(readFileSync(file, 'utf8')) as Recording]),
  );

/** By kind and name. */
export type Statuses = Record<string, unknown>;

export const statusesOf = (
  objects: { kind: string; metadata: { name: string }; status?: unknown }[],
): Statuses =>
  Object.fromEntries(
    objects.map(({ kind, metadata, status }) => [`${kind} ${metadata.name}`, status ?? null]),
  );

const withoutMessages = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (name, field: unknown) => (name === 'message' ? '' : field)));

/** Those that say the same in other words, which is all that a new operator may change. */
export const reworded = (before: Statuses, after: Statuses): string[] => {
  assert.deepEqual(Object.keys(after).toSorted(), Object.keys(before).toSorted());
  return Object.keys(before).filter((name) => {
    assert.deepEqual(withoutMessages(after[name]), withoutMessages(before[name]), name);
    return !isDeepStrictEqual(after[name], before[name]);
  });
};

export const assertSameDocuments = (recording: Recording, documents: NodeDocument[]): void => {
  const masked = documents.map(maskedDocument);
  for (const { name, document } of recording.nodes) {
    if (!document) continue;
    const is = masked.find(({ nodeName }) => nodeName === name);
    assert.deepEqual(is, { ...document, epoch: 0 }, `the document of node ${name}`);
  }
};
