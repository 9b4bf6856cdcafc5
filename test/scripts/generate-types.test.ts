import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { generateTypes } from '../../scripts/generate-types.ts';

test('the committed types are those that crds/ give now', async () => {
  const committed = readFileSync(
    new URL('../../src/resources/generated.ts', import.meta.url),
    'utf8',
  );
  assert.equal(committed, await generateTypes(), 'run: node scripts/generate-types.ts');
});
