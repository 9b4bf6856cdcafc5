/**
 * What is tested on a real Kubernetes API server, which is built from its Go modules the first time (5 minutes on two
 * cores) and found in .cache/kubernetes/ after that. Stops at the first step that fails.
 *   npm run test:kubernetes                              everything
 *   npm run test:kubernetes -- --only build              only these steps
 *   npm run test:kubernetes -- test/kubernetes/x.test.ts only these tests
 * Installs what is missing when it may. What cannot run here is said at the end, and is a failure with CI=true.
 */
import { globSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ensure, succeeds } from './setup/apt.ts';
import { buildKubeTest } from './setup/kube-test.ts';
import { root, runStep } from './setup/step.ts';

const testsDeadlineMs = 40 * 60_000;
const oneTestDeadlineMs = 10 * 60_000;

const notRun: string[] = [];
const giveUp = (what: string, why: string): void => {
  notRun.push(`${what}: ${why}`);
  process.stderr.write(`\n!! ${what} NOT RUN: ${why}\n`);
};

let built = true;
const build = (): void => {
  const why = buildKubeTest();
  if (why === undefined) return;
  built = false;
  giveUp('everything that needs an API server', why);
};

/** Argo CD's health scripts run in Lua 5.1. */
const lua = (): void => {
  if (ensure(() => succeeds('lua5.1', ['-v']), ['lua5.1'])) return;
  giveUp('Argo CD scripts', 'lua5.1 is missing, and only root on a Debian can install it');
};

const { values, positionals } = parseArgs({
  options: { only: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  allowPositionals: true,
});

const test = (): void => {
  if (!built) return;
  // Argo CD's scripts are skipped by `npm test` where Lua is missing; here it is there.
  const files = globSync(['test/kubernetes/**/*.test.ts', 'test/manifests/argo.test.ts'], {
    cwd: root,
  }).toSorted();
  runStep(
    'Tests on the API server',
    process.execPath,
    [
      '--test',
      // Leases run out on a machine that is too busy, and then the operator ends as it must.
      '--test-concurrency=1',
      `--test-timeout=${oneTestDeadlineMs}`,
      ...(positionals.length > 0 ? positionals : files),
    ],
    { deadlineMs: testsDeadlineMs },
  );
};

const steps: Record<string, () => void> = { build, lua, test };

if (values.help) {
  const names = Object.keys(steps).join(',');
  process.stdout.write(`npm run test:kubernetes [-- [--only ${names}] [test files]]\n`);
  process.exit(0);
}
const chosen = values.only?.split(',') ?? Object.keys(steps);
const unknown = chosen.filter((name) => !(name in steps));
if (unknown.length > 0) {
  const known = Object.keys(steps).join(', ');
  process.stderr.write(`--only names ${unknown.join(', ')}; there are ${known}\n`);
  process.exit(2);
}
const startedMs = performance.now();
for (const name of chosen) steps[name]?.();
process.stderr.write(`\nKubernetes: ${((performance.now() - startedMs) / 1000).toFixed(0)} s\n`);
if (notRun.length > 0) {
  process.stderr.write(
    `\n!! NOT EVERYTHING RAN:\n${notRun.map((line) => `!!   ${line}\n`).join('')}`,
  );
  if (process.env['CI']) process.exit(1);
}
