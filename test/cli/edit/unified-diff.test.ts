import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import * as fc from '../../support/fast-check.ts';
import { unifiedDiff } from '../../../src/cli/edit/unified-diff.ts';

const folder = mkdtempSync(join(tmpdir(), 'espalier-diff-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const textOf = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');
const lines = fc.array(fc.constantFrom('a', 'b', 'c', 'spec:', ''), {
  minLength: 1,
  maxLength: 30,
});

test('git apply makes of a diff what it says', () => {
  fc.assert(
    fc.property(lines, lines, (left, right) => {
      const before = textOf(left);
      const wanted = textOf(right);
      fc.pre(before !== wanted);
      const path = join(folder, 'file.yaml');
      writeFileSync(path, before);
      const input = `${unifiedDiff(before, wanted, 'file.yaml')}\n`;
      const git = spawnSync('git', ['apply', '--unidiff-zero', '-'], { cwd: folder, input });
      assert.equal(git.status, 0, `${git.stderr.toString()}\n${input}`);
      assert.equal(readFileSync(path, 'utf8'), wanted);
    }),
    { numRuns: 60 },
  );
});

test('changes far apart are hunks of their own with three lines of context, equal texts have no diff', () => {
  const numbers = Array.from({ length: 30 }, (_, index) => String(index));
  const changed = numbers.map((line) => (line === '4' || line === '20' ? `${line}!` : line));
  const diff = unifiedDiff(textOf(numbers), textOf(changed), 'n').split('\n');
  assert.deepEqual(
    diff.filter((line) => line.startsWith('@@')),
    ['@@ -2,7 +2,7 @@', '@@ -18,7 +18,7 @@'],
  );
  assert.equal(unifiedDiff('a\n', 'a\n', 'n'), '');
});
