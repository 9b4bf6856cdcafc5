import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { verdictOf } from '../../src/cli/status/verdict.ts';
import type { ClusterNode, ModelDeployment } from '../../src/resources/types.ts';
import { simulateWrites } from '../controller/simulate-writes.ts';
import { runLua } from './lua.ts';

const folder = 'manifests/argocd/resource_customizations/espalier.dev';
const kinds = ['ModelDeployment', 'ClusterNode'];

interface Health {
  status: string;
  message: string;
}

interface Changed {
  spec: { restartTime?: string };
}

/** An action writes the time that it is; a file cannot know it. */
const takeNow = ({ spec }: Changed, expected: string): void => {
  const { restartTime = '' } = spec;
  assert.match(restartTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assert.ok(Math.abs(Date.parse(restartTime) - Date.now()) < 60_000, restartTime);
  spec.restartTime = expected;
};

const hasLua = (): boolean => {
  try {
    execFileSync('lua5.1', ['-v'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};
const skip = hasLua() ? false : 'lua5.1 is not installed: npm run test:kubernetes installs it';

const text = (...path: string[]): string => readFileSync(join(folder, ...path), 'utf8');
const yaml = (...path: string[]): unknown => parse(text(...path));

for (const kind of kinds) {
  test(`${kind}: health is what health_test.yaml says`, { skip }, () => {
    const { tests } = yaml(kind, 'health_test.yaml') as {
      tests: { healthStatus: Health; inputPath: string }[];
    };
    const inputs = tests.map(({ inputPath }) => yaml(kind, inputPath));
    const expected = tests.map(({ healthStatus }) => healthStatus);
    assert.deepEqual(runLua<Health>(text(kind, 'health.lua'), inputs), expected);
    assert.equal(tests.length, readdirSync(join(folder, kind, 'testdata')).length);
  });

  test(`${kind}: actions are what action_test.yaml says`, { skip }, () => {
    const { discoveryTests, actionTests } = yaml(kind, 'actions/action_test.yaml') as {
      discoveryTests: { inputPath: string; result: { name: string; disabled: boolean }[] }[];
      actionTests: { action: string; inputPath: string; expectedOutputPath: string }[];
    };
    const discovery = text(kind, 'actions/discovery.lua');
    for (const { inputPath, result } of discoveryTests) {
      const [found] = runLua<object>(discovery, [yaml(kind, 'actions', inputPath)]);
      const wanted = result.map(({ name, disabled }) => [name, { disabled }]);
      assert.deepEqual(found, Object.fromEntries(wanted), inputPath);
    }
    for (const { action, inputPath, expectedOutputPath } of actionTests) {
      const script = text(kind, 'actions', action, 'action.lua');
      const [changed] = runLua<Changed>(script, [yaml(kind, 'actions', inputPath)]);
      const expected = yaml(kind, 'actions', expectedOutputPath) as Changed;
      if (expected.spec.restartTime !== undefined) takeNow(changed!, expected.spec.restartTime);
      assert.deepEqual(changed, expected, action);
    }
  });

  test(`${kind}: every action is offered, and sets a field that the CRD has`, () => {
    const discovery = text(kind, 'actions/discovery.lua');
    const crd = parse(readFileSync(`crds/${kind.toLowerCase()}s.espalier.dev.yaml`, 'utf8'));
    const { spec } = crd.spec.versions[0].schema.openAPIV3Schema.properties;
    const actions = readdirSync(join(folder, kind, 'actions')).filter((name) =>
      existsSync(join(folder, kind, 'actions', name, 'action.lua')),
    );
    assert.ok(actions.length > 0);
    for (const action of actions) {
      assert.ok(discovery.includes(`actions["${action}"]`), action);
      const [, field] =
        /obj\.spec\.(\w+) =/.exec(text(kind, 'actions', action, 'action.lua')) ?? [];
      assert.ok(field !== undefined && field in spec.properties, `${action} sets ${field}`);
    }
  });
}

/** Argo CD never asks a script about an object that is being deleted. */
const isAsked = ({ metadata }: ModelDeployment | ClusterNode): boolean =>
  metadata.deletionTimestamp === undefined;

test(
  'Argo CD, kstatus and espalier status agree on every status that a control plane writes',
  { skip },
  async () => {
    const { written } = await simulateWrites();
    const deployments = written.filter((each) => each.kind === 'ModelDeployment').filter(isAsked);
    const healths = runLua<Health>(text('ModelDeployment', 'health.lua'), deployments);
    const seen = new Set<string>();
    for (const [index, deployment] of deployments.entries()) {
      const { state } = verdictOf(deployment);
      const isObserved = deployment.status.observedGeneration === deployment.metadata.generation;
      const isPaused = isObserved && deployment.spec.paused && state !== 'Failed';
      const usual = { Ready: 'Healthy', InProgress: 'Progressing', Failed: 'Degraded' }[state];
      const { status, message } = healths[index]!;
      assert.equal(status, isPaused ? 'Suspended' : usual, JSON.stringify(deployment.status));
      assert.ok(message.length > 0);
      seen.add(status);
    }
    assert.deepEqual([...seen].toSorted(), ['Degraded', 'Healthy', 'Progressing', 'Suspended']);

    const nodes = written.filter((each) => each.kind === 'ClusterNode').filter(isAsked);
    for (const [index, health] of runLua<Health>(
      text('ClusterNode', 'health.lua'),
      nodes,
    ).entries()) {
      const { status, metadata } = nodes[index]!;
      const isReady = status.conditions.some(
        (each) => each.type === 'Ready' && each.status === 'True',
      );
      const isHealthy = isReady && status.observedGeneration === metadata.generation;
      assert.equal(health.status, isHealthy ? 'Healthy' : 'Progressing');
    }
  },
);

test('argocd-cm carries the very scripts', () => {
  const patch = parse(readFileSync('manifests/argocd/argocd-cm.yaml', 'utf8'));
  for (const kind of kinds) {
    assert.equal(
      patch.data[`resource.customizations.health.espalier.dev_${kind}`],
      text(kind, 'health.lua'),
    );
    const actions = parse(patch.data[`resource.customizations.actions.espalier.dev_${kind}`]);
    assert.equal(actions['discovery.lua'], text(kind, 'actions/discovery.lua'));
    for (const { name, 'action.lua': script } of actions.definitions) {
      assert.equal(script, text(kind, 'actions', name, 'action.lua'));
    }
    const names = actions.definitions.map(({ name }: { name: string }) => name).toSorted();
    const wanted = readdirSync(join(folder, kind, 'actions')).filter((name) =>
      existsSync(join(folder, kind, 'actions', name, 'action.lua')),
    );
    assert.deepEqual(names, wanted.toSorted());
  }
});
