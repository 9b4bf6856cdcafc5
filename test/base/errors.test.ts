import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { errorCatalogue } from '../../src/base/errors.ts';

const codes = Object.keys(errorCatalogue);

test('every code is documented in docs/errors.md with its kind and sentence, and nothing else is', () => {
  const documented = [
    ...readFileSync('docs/errors.md', 'utf8').matchAll(/^\| `(\w+)` \| (\w+) \| (.+) \|$/gm),
  ].map(([, code, kind, summary]) => [code, { kind, summary }]);
  assert.deepEqual(Object.fromEntries(documented), errorCatalogue);
});

test('the catalogue is sorted, so that an addition has one place', () => {
  assert.deepEqual(codes, codes.toSorted());
});

test('every code is used somewhere', () => {
  const source = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && file !== 'base/errors.ts')
    .map((file) => readFileSync(join('src', file), 'utf8'))
    .concat(nativeSource());
  const unused = codes.filter(
    (code) => !source.some((text) => new RegExp(`['"]${code}['"]`).test(text)),
  );
  assert.deepEqual(unused, []);
});

const nativeSource = (): string[] =>
  ['transport', 'engine', 'addon'].flatMap((room) =>
    readdirSync(join('native', room), { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.(cpp|h)$/.test(file))
      .map((file) => readFileSync(join('native', room, file), 'utf8')),
  );
