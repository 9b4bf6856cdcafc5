import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseBackend } from '../../../src/cli/backend/choose.ts';
import type { BackendOptions, Surroundings } from '../../../src/cli/backend/choose.ts';

const bare: Surroundings = {
  isPlugin: false,
  stateDirectory: undefined,
  hasUsualState: false,
  hasKubeConfig: false,
};
const all: Surroundings = {
  isPlugin: false,
  stateDirectory: '/from/environment',
  hasUsualState: true,
  hasKubeConfig: true,
};
const chosen = (options: BackendOptions, around: Surroundings): string => {
  const choice = chooseBackend(options, around);
  return choice.kind === 'directory' ? choice.stateDirectory : choice.kind;
};

test('what the command line names comes before all surroundings', () => {
  assert.equal(chosen({ stateDir: 'x' }, { ...all, isPlugin: true }), 'x');
  assert.equal(chosen({ kubeconfig: 'x' }, all), 'kubernetes');
  assert.equal(chosen({ context: 'x' }, all), 'kubernetes');
  assert.equal(chosen({ namespace: 'x' }, all), '/from/environment');
});

test('a kubectl plugin asks the API server, whatever state lies about', () => {
  assert.equal(chosen({}, { ...all, isPlugin: true }), 'kubernetes');
});

test('espalier takes the environment, then the state directory that is here, then the kubeconfig', () => {
  assert.equal(chosen({}, all), '/from/environment');
  assert.equal(chosen({}, { ...all, stateDirectory: undefined }), '.espalier/state');
  assert.equal(chosen({}, { ...bare, hasKubeConfig: true }), 'kubernetes');
  assert.equal(chosen({}, bare), 'unknown');
});
