/**
 * What is tested on a real Kubernetes API server, which is built from its Go modules the first time (5 minutes on two
 * cores) and found in .cache/kubernetes/ after that. Stops at the first step that fails.
 *   npm run test:kubernetes                              everything
 *   npm run test:kubernetes -- --only build              only these steps
 *   npm run test:kubernetes -- test/kubernetes/x.test.ts only these tests
 * Installs what is missing when it may. What cannot run here is said at the end, and is a failure with CI=true.
 */
import { globSync } from 'node:fs';
import { ensure, succeeds } from './setup/apt.ts';
import { buildKubeTest } from './setup/kube-test.ts';
import { registryPausesSeconds, root, runStep } from './setup/step.ts';
import { giveUp, runSteps } from './setup/steps.ts';
import { prometheusOperator } from '../test/kubernetes/support/prometheus-operator.ts';

const fetchDeadlineMs = 5 * 60_000;
const testsDeadlineMs = 40 * 60_000;
const oneTestDeadlineMs = 10 * 60_000;

let built = true;
const build = (): void => {
  const why = buildKubeTest();
  if (why === undefined) return fetchPrometheusOperator();
  built = false;
  giveUp('everything that needs an API server', why);
};

const fetchPrometheusOperator = (): void => {
  runStep('Fetching the Prometheus operator', 'go', ['mod', 'download', prometheusOperator], {
    env: { GOTOOLCHAIN: 'local' },
    deadlineMs: fetchDeadlineMs,
    pausesSeconds: registryPausesSeconds,
  });
};

/** Argo CD's health scripts run in Lua 5.1. */
const lua = (): void => {
  if (ensure(() => succeeds('lua5.1', ['-v']), ['lua5.1'])) return;
  giveUp('Argo CD scripts', 'lua5.1 is missing, and only root on a Debian can install it');
};

const test = (chosen: string[]): void => {
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
      ...(chosen.length > 0 ? chosen : files),
    ],
    { deadlineMs: testsDeadlineMs },
  );
};

runSteps(
  { title: 'Kubernetes', script: 'test:kubernetes', files: '[test files]' },
  { build, lua, test },
);
