import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { validateFiles } from '../../src/resources/read-files.ts';
import { loadSchemas } from '../../src/resources/schemas.ts';

const schemas = loadSchemas();
const node = (name: string) =>
  `apiVersion: espalier.dev/v1alpha1\nkind: ClusterNode\nmetadata: {name: ${name}}\n`;

const folderWith = (t: TestContext, files: Record<string, string | Buffer>): string => {
  const folder = mkdtempSync(join(tmpdir(), 'espalier-read-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
};

const readNames = (folder: string) =>
  validateFiles([folder], schemas).objects.map(({ metadata }) => metadata.name);

test('YAML files are found at every depth; what editors and tools leave beside them is not read', (t) => {
  const folder = folderWith(t, {
    'b.yaml': node('b'),
    'team/a.yml': node('a'),
    'team/deep/er/c.yaml': node('c'),
    '.b.yaml.swp': 'x',
    '.git/config.yaml': 'x: [',
    '.#b.yaml': 'x: [',
    'b.yaml~': 'x: [',
    'b.yaml.tmp': 'x: [',
    'README.md': '# hello',
    'node_modules/x/x.yaml': 'x: [',
  });
  assert.deepEqual(readNames(folder), ['b', 'a', 'c']);
  assert.deepEqual(validateFiles([folder], schemas).problems, []);
});

test('a ConfigMap mount is read once, through its links', (t) => {
  const folder = folderWith(t, { '..2026_11_23/a.yaml': node('a') });
  symlinkSync('..2026_11_23', join(folder, '..data'));
  symlinkSync('..data/a.yaml', join(folder, 'a.yaml'));
  assert.deepEqual(readNames(folder), ['a']);
});

test('links to folders are followed, but not in circles', (t) => {
  const folder = folderWith(t, { 'real/a.yaml': node('a') });
  const elsewhere = folderWith(t, { 'b.yaml': node('b') });
  symlinkSync('..', join(folder, 'real', 'up'));
  symlinkSync(elsewhere, join(folder, 'linked'));
  assert.deepEqual(readNames(folder).toSorted(), ['a', 'b']);
});

test('what cannot be read is a problem that names it, and the rest is read', (t) => {
  const folder = folderWith(t, {
    'good.yaml': node('good'),
    'latin1.yaml': Buffer.from([0x61, 0x3a, 0x20, 0xe9, 0x0a]),
    'large.yaml': `# ${'x'.repeat(1 << 20)}\n`,
  });
  symlinkSync('nowhere.yaml', join(folder, 'dangling.yaml'));
  symlinkSync('circle.yaml', join(folder, 'circle.yaml'));
  symlinkSync('circle', join(folder, 'circle'));
  execFileSync('mkfifo', [join(folder, 'pipe.yaml')]);
  const { objects, problems } = validateFiles([folder], schemas);
  assert.equal(objects.length, 1);
  const got = Object.fromEntries(
    problems.map(({ file, got }) => [file.slice(folder.length + 1), got]),
  );
  assert.deepEqual(Object.keys(got), [
    'circle.yaml',
    'dangling.yaml',
    'large.yaml',
    'latin1.yaml',
    'pipe.yaml',
  ]);
  assert.match(got['circle.yaml'] ?? '', /ELOOP/);
  assert.match(got['dangling.yaml'] ?? '', /ENOENT/);
  assert.match(got['large.yaml'] ?? '', /split the file/);
  assert.match(got['latin1.yaml'] ?? '', /not UTF-8/);
  assert.match(got['pipe.yaml'] ?? '', /neither a file nor a folder/);
});

test('a path that does not exist is a problem', () => {
  const { problems } = validateFiles(['/nonexistent/espalier'], schemas);
  assert.match(problems[0]?.got ?? '', /ENOENT/);
});

test('a byte order mark and Windows line ends are no problem', (t) => {
  const folder = folderWith(t, { 'a.yaml': `\uFEFF${node('a').replaceAll('\n', '\r\n')}` });
  assert.deepEqual(validateFiles([folder], schemas).problems, []);
});

test('a folder with too many files is a problem of the whole folder', (t) => {
  const folder = folderWith(t, {});
  for (let index = 0; index < 10_050; index += 1) {
    writeFileSync(join(folder, `${String(index).padStart(5, '0')}.yaml`), '');
  }
  const { problems } = validateFiles([folder], schemas);
  assert.deepEqual(
    problems.map(({ file }) => file),
    [folder],
  );
  assert.match(problems[0]?.got ?? '', /more than 10000 files/);
});
