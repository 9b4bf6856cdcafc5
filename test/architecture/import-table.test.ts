import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { packageOwners, portsOnly, rooms } from './import-table.ts';
import { lintOverrides } from './lint-overrides.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const source = join(root, 'src');

test('every file under src stands in a room of the import table', () => {
  for (const file of sourceFiles()) assert.ok(roomOf(file), `${file} is in no room`);
});

test('rooms import only what the import table allows', () => {
  const wrong = sourceFiles().flatMap((file) =>
    importsOf(file).flatMap((specifier) => violation(file, specifier) ?? []),
  );
  assert.deepEqual(wrong, []);
});

test('the planner reads no clock, no randomness and no files', () => {
  const impure = /\bDate\.now\b|\bnew Date\(|\bMath\.random\b|from 'node:(?!crypto')/;
  for (const file of sourceFiles().filter((name) => name.startsWith('planner/'))) {
    assert.doesNotMatch(readFileSync(join(source, file), 'utf8'), impure, file);
  }
});

test('the lint rules are the ones that the import table gives', () => {
  const config = JSON.parse(readFileSync(join(root, '.oxlintrc.json'), 'utf8'));
  assert.deepEqual(config.overrides, lintOverrides());
});

test('no source file is longer than 400 lines', () => {
  const long = [...sourceFiles().map((file) => join(source, file)), ...nativeFiles()].filter(
    (file) => readFileSync(file, 'utf8').split('\n').length > 401,
  );
  assert.deepEqual(long, []);
});

test('only native/addon includes napi.h', () => {
  const wrong = nativeFiles().filter(
    (file) =>
      /#include [<"](napi|node_api)\.h/.test(readFileSync(file, 'utf8')) &&
      !file.includes('/native/addon/'),
  );
  assert.deepEqual(wrong, []);
});

const sourceFiles = (): string[] =>
  readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));

const nativeFiles = (): string[] =>
  readdirSync(join(root, 'native'), { withFileTypes: true })
    .filter((entry) => !entry.name.startsWith('build'))
    .flatMap((entry) =>
      entry.isDirectory()
        ? readdirSync(join(root, 'native', entry.name), { recursive: true, encoding: 'utf8' }).map(
            (file) => join(root, 'native', entry.name, file),
          )
        : [join(root, 'native', entry.name)],
    )
    .filter((file) => /\.(h|cpp)$/.test(file));

const roomOf = (file: string): string | undefined =>
  Object.keys(rooms).find((room) => file.startsWith(`${room}/`));

const importsOf = (file: string): string[] =>
  [
    ...readFileSync(join(source, file), 'utf8').matchAll(
      /(?:^|\n)\s*(?:import|export)\b[^;'"]*?from\s*'([^']+)'|\bimport\(\s*'([^']+)'/g,
    ),
  ].map((match) => (match[1] ?? match[2])!);

const violation = (file: string, specifier: string): string | undefined => {
  const room = roomOf(file)!;
  if (!specifier.startsWith('.')) {
    const owners = Object.entries(packageOwners).find(
      ([name]) => specifier === name || specifier.startsWith(`${name}/`),
    )?.[1];
    return owners && !owners.includes(room) ? `${file} imports ${specifier}` : undefined;
  }
  const target = relative(source, join(source, dirname(file), specifier));
  const targetRoom = roomOf(target);
  if (targetRoom === room || targetRoom === undefined) return undefined;
  const allowed = rooms[room]!.includes(targetRoom);
  const port = targetRoom === 'controller' ? portsOnly[room] : undefined;
  return allowed && (port === undefined || target === port)
    ? undefined
    : `${file} imports ${target}`;
};
