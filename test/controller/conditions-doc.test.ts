import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { reasons } from '../../src/resources/reasons.ts';

const page = readFileSync(new URL('../../docs/conditions.md', import.meta.url), 'utf8');
const list = page.slice(page.indexOf('## Reasons'));

test('docs/conditions.md explains every reason in the words of the catalogue', () => {
  const rows = [...list.matchAll(/^\| `(\w+)` +\| (.+?) +\|$/gm)].map(([, name, text]) => [
    name,
    text,
  ]);
  assert.deepEqual(Object.fromEntries(rows), { ...reasons });
});
