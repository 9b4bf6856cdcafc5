import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  array,
  assert as check,
  constant,
  constantFrom,
  dictionary,
  letrec,
  oneof,
  property,
} from '../support/fast-check.ts';
import { canonicalJson, sameContent } from '../../src/base/canonical-json.ts';

/** Few names and values, so that two often meet. */
const content = letrec((tie) => ({
  leaf: constantFrom(0, 1, '', 'a', true, null),
  list: array(tie('value'), { maxLength: 2 }),
  record: dictionary(constantFrom('x', 'y'), oneof(tie('value'), constant(undefined)), {
    maxKeys: 2,
  }),
  value: oneof({ maxDepth: 3 }, tie('leaf'), tie('list'), tie('record')),
})).value;

test('content is the same exactly when its canonical JSON is', () => {
  let same = 0;
  check(
    property(content, content, (left, right) => {
      const isSame = canonicalJson(left) === canonicalJson(right);
      same += Number(isSame);
      assert.equal(sameContent(left, right), isSame);
      assert.equal(sameContent(left, structuredClone(left)), true);
    }),
    { numRuns: 5000 },
  );
  assert.ok(same > 50, `${same} pairs were the same`);
});
