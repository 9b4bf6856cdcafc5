/**
 * The README's test command: checks the text, then the native code, then everything else. Under `.ci/run` (CI=true)
 * it also proves that the package can be published. Stops at the first step that fails.
 *   npm test                      everything
 *   npm test -- test/planner      only the tests under these paths
 */
import { globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runStep } from './setup/step.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = (name: string): string => `${root}/node_modules/.bin/${name}`;

const paths = process.argv.slice(2);
if (paths.length === 0) {
  runStep('Formatting', bin('prettier'), ['--check', '--log-level', 'warn', '.']);
  runStep('Types', bin('tsc'), ['--noEmit', '-p', 'tsconfig.json']);
  runStep('Lint', bin('oxlint'), ['--type-aware', '--deny-warnings']);
  if (process.env['CI']) runStep('Package', process.execPath, ['scripts/check-package.ts']);
  runStep('Native tests', 'ctest', [
    '--test-dir',
    'native/build/test',
    '--output-on-failure',
    '-j1',
  ]);
}
const files = globSync(
  paths.length === 0
    ? 'test/**/*.test.ts'
    : paths.map((path) => (path.endsWith('.ts') ? path : `${path}/**/*.test.ts`)),
  // What needs an API server runs under `npm run test:kubernetes`, which builds one.
  { cwd: root, exclude: paths.length === 0 ? ['test/kubernetes/**'] : [] },
);
const tests = ['--test', '--test-concurrency=2', '--test-timeout=600000', ...files.toSorted()];
if (process.env['CI']) {
  const gate = ['--check-coverage', '--lines', '85', '--reporter', 'text-summary', '--src', 'src'];
  runStep('Tests', bin('c8'), [...gate, '--include', 'src/**', process.execPath, ...tests]);
} else {
  runStep('Tests', process.execPath, tests);
}
