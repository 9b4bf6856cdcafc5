import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { generateTypes, outputFolder } from '../../scripts/generate-types.ts';

test('the committed types are those that crds/ give now', async () => {
  for (const [file, text] of await generateTypes()) {
    const committed = readFileSync(join(outputFolder, file), 'utf8');
    assert.equal(committed, text, 'run: node scripts/generate-types.ts');
  }
});
