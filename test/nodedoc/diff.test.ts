import assert from 'node:assert/strict';
import { test } from 'node:test';
import { documentChange } from '../../src/nodedoc/diff.ts';
import { assignment, nodeDocument } from '../support/node-documents.ts';

test('a change names ranks and paths, and never a value', () => {
  const stays = assignment({ deployment: 'stays', rank: 1, worldSize: 2 });
  const before = nodeDocument([stays, assignment({ deployment: 'goes' })]);
  const after = nodeDocument([
    assignment({ deployment: 'comes' }),
    { ...stays, rendezvous: { ...stays.rendezvous, address: '127.0.0.1:4000' } },
  ]);
  assert.deepEqual(documentChange(before, after), {
    added: ['default/comes/0/1/0'],
    removed: ['default/goes/0/1/0'],
    changed: [{ id: 'default/stays/0/1/1', paths: ['/rendezvous/address'] }],
  });
});

test('everything is new against no document, and nothing against an equal one', () => {
  const document = nodeDocument([assignment()]);
  assert.deepEqual(documentChange(undefined, document).added, ['default/sprout/0/1/0']);
  assert.deepEqual(documentChange(document, structuredClone(document)), {
    added: [],
    removed: [],
    changed: [],
  });
});
