/**
 * The README's test command: checks the text, then the native code, then everything else. Under `.ci/run` (CI=true)
 * it also proves that the package can be published. Stops at the first step that fails.
 *   npm test                      everything
 *   npm test -- test/planner      only the tests under these paths
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = (name: string): string => `${root}/node_modules/.bin/${name}`;

const run = (title: string, file: string, args: string[]): void => {
  const startedMs = performance.now();
  process.stderr.write(`\n== ${title}\n`);
  const { status, signal, error } = spawnSync(file, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) {
    process.stderr.write(`${title} failed: ${error?.message ?? signal ?? `exit ${status}`}\n`);
    process.exit(status ?? 1);
  }
  process.stderr.write(`${title}: ${((performance.now() - startedMs) / 1000).toFixed(1)} s\n`);
};

const paths = process.argv.slice(2);
if (paths.length === 0) {
  run('Formatting', bin('prettier'), ['--check', '--log-level', 'warn', '.']);
  run('Types', bin('tsc'), ['--noEmit', '-p', 'tsconfig.json']);
  run('Lint', bin('oxlint'), ['--type-aware', '--deny-warnings']);
  if (process.env['CI']) run('Package', process.execPath, ['scripts/check-package.ts']);
  run('Native tests', 'ctest', ['--test-dir', 'native/build/test', '--output-on-failure', '-j1']);
}
const files = globSync(
  paths.length === 0
    ? 'test/**/*.test.ts'
    : paths.map((path) => (path.endsWith('.ts') ? path : `${path}/**/*.test.ts`)),
  { cwd: root },
);
const tests = ['--test', '--test-concurrency=2', '--test-timeout=180000', ...files.toSorted()];
if (process.env['CI']) {
  const gate = ['--check-coverage', '--lines', '85', '--reporter', 'text-summary', '--src', 'src'];
  run('Tests', bin('c8'), [...gate, '--include', 'src/**', process.execPath, ...tests]);
} else {
  run('Tests', process.execPath, tests);
}
