import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from '../../support/fast-check.ts';
import { canonicalJson } from '../../../src/base/canonical-json.ts';
import { changeText, fieldChanges, mergePatch } from '../../../src/cli/edit/merge-patch.ts';

/** RFC 7386, section 2. */
const applied = (target: unknown, patch: unknown): unknown => {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch;
  const fields = new Map(
    target !== null && typeof target === 'object' && !Array.isArray(target)
      ? Object.entries(target)
      : [],
  );
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) fields.delete(name);
    else fields.set(name, applied(fields.get(name), value));
  }
  return Object.fromEntries(fields);
};

const leaf = fc.oneof(fc.integer(), fc.string(), fc.boolean(), fc.array(fc.integer()));
const fields = fc.letrec<{ fields: Record<string, unknown> }>((tie) => ({
  fields: fc.dictionary(
    fc.constantFrom('a', 'b', 'c', 'd'),
    fc.oneof({ depthSize: 'small' }, leaf, tie('fields')),
  ),
})).fields;

test('the patch between two objects turns the one into the other, and there is none between equals', () => {
  fc.assert(
    fc.property(fields, fields, (before, after) => {
      const patch = mergePatch(before, after);
      const result = patch === undefined ? before : applied(before, patch);
      assert.equal(canonicalJson(result), canonicalJson(after));
      assert.equal(patch === undefined, canonicalJson(before) === canonicalJson(after));
      assert.equal(fieldChanges(before, after).length === 0, patch === undefined);
    }),
    { numRuns: 150 },
  );
});

test('a change reads as a path with both values, and what is not there as unset', () => {
  const before = { runtime: { contextLength: 512, version: '' }, paused: true };
  const after = { runtime: { contextLength: 1024, version: '', args: ['-v'] } };
  assert.deepEqual(fieldChanges(before, after).map(changeText), [
    'runtime.contextLength: 512 → 1024',
    'runtime.args: unset → ["-v"]',
    'paused: true → unset',
  ]);
});
