import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EspalierError } from '../../src/base/errors.ts';
import { profile, spec } from '../planner/builders.ts';
import { harness } from './harness.ts';

const tensor2 = { parallelism: { strategy: 'Tensor' as const, tensorSize: 2 } };
const single = { parallelism: { strategy: 'Single' as const } };

test('a killed rank stops its whole group, which starts again after a pause', async () => {
  const world = harness(['a', 'b']);
  world.state.applyDeployment('m', spec(tensor2));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  world.fleet.node('b').kill('default/m/0/1/1');
  await world.runUntil('not ready', () => !world.isReady('m'), 10);
  await world.runUntil('ready again', () => world.isReady('m'), 60);
  const [group] = world.deployment('m').status.groups;
  assert.equal(group?.incarnation, 2);
  assert.equal(group.restarts, 1);
  const failure = world.events('RankExited')[0];
  assert.match(failure?.message ?? '', /rank 1 on b/);
  assert.equal(failure?.type, 'Warning');
  await world.run(310);
  world.fleet.node('b').kill('default/m/0/2/1');
  await world.runUntil(
    'started a third time',
    () => world.deployment('m').status.groups[0]?.incarnation === 3,
  );
  assert.equal(
    world.deployment('m').status.groups[0]?.restarts,
    1,
    'five good minutes wipe the slate',
  );
});

test('after the restart limit the deployment is Stalled and says who failed and why', async () => {
  const world = harness(['a', 'b']);
  const policy = { restartPolicy: { maxGroupRestarts: 2, backoffSeconds: 1 } };
  world.state.applyDeployment('m', spec({ ...tensor2, ...policy }));
  world.fleet.poison.set('m', {
    code: 'RankExited',
    message: 'out of luck',
    terminal: false,
    signal: 'SIGSEGV',
  });
  await world.startControlPlane();
  await world.runUntil('stalled', () => world.summary('m', 'Stalled') !== undefined);
  assert.equal(world.summary('m', 'Stalled'), 'True RestartLimitExceeded');
  assert.equal(world.summary('m', 'Ready'), 'False RestartLimitExceeded');
  assert.equal(world.summary('m', 'Reconciling'), undefined);
  const message = world.condition('m', 'Stalled')?.message ?? '';
  assert.match(message, /3 failures in a row.*rank \d on [ab] failed: out of luck.*SIGSEGV/);
  await world.runUntil('stopped', () => world.deployment('m').status.groups[0]?.state === 'Failed');
  await world.run(300);
  assert.equal(world.deployment('m').status.groups[0]?.incarnation, 3);

  world.fleet.poison.clear();
  world.state.applyDeployment('m', spec({ ...tensor2, ...policy, minReadySeconds: 1 }));
  await world.runUntil('ready', () => world.isReady('m'), 60);
  assert.equal(world.deployment('m').status.groups[0]?.restarts, 0);
});

test('a terminal failure of a rank is Stalled at once, and its node is not tried again', async () => {
  const world = harness(['a']);
  world.state.applyDeployment('m', spec(single));
  world.fleet.poison.set('m', {
    code: 'TokenizerInvalid',
    message: 'no vocabulary',
    terminal: true,
    file: '/models/m/tokenizer.json',
  });
  await world.startControlPlane();
  await world.runUntil('stalled', () => world.summary('m', 'Stalled') === 'True TokenizerInvalid');
  assert.match(world.condition('m', 'Stalled')?.message ?? '', /file \/models\/m\/tokenizer.json/);
  await world.run(200);
  assert.equal(world.deployment('m').status.groups[0]?.incarnation, 1);

  world.fleet.poison.clear();
  world.models.set('file:///models/m', profile(8, { revision: 'repaired' }));
  await world.runUntil('ready', () => world.isReady('m'), 90);
  assert.equal(world.deployment('m').status.resolvedModel?.revision, 'repaired');
});

test('a model folder that is missing is Stalled; once it is there the deployment starts by itself', async () => {
  const world = harness(['a']);
  const missing = new EspalierError('ModelFolderMissing', '/models/m does not exist');
  world.models.set('file:///models/m', missing);
  world.state.applyDeployment('m', spec(single));
  await world.startControlPlane();
  await world.run(5);
  assert.equal(world.summary('m', 'Stalled'), 'True ModelFolderMissing');
  assert.equal(world.deployment('m').status.observedGeneration, 1);
  assert.deepEqual(world.state.revisions(), []);
  world.models.delete('file:///models/m');
  await world.runUntil('ready', () => world.isReady('m'), 60);
});

test('a folder that becomes unreadable does not disturb the group that runs from it', async () => {
  const world = harness(['a']);
  world.state.applyDeployment('m', spec(single));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  world.models.set('file:///models/m', new EspalierError('ModelFolderMissing', 'gone'));
  await world.run(60);
  world.state.applyDeployment('m', spec({ ...single, minReadySeconds: 1 }));
  await world.run(10);
  assert.ok(world.isReady('m'));
});

test('weights that are not there are named before anything is started', async () => {
  const world = harness(['a']);
  world.models.set('file:///models/m', profile(8, { weightsPresent: false }));
  world.state.applyDeployment('m', spec(single));
  await world.startControlPlane();
  await world.run(5);
  assert.equal(world.summary('m', 'Stalled'), 'True WeightsMissing');
});

test('no progress within the deadline is Stalled, and progress later ends that', async () => {
  const world = harness(['a', 'b']);
  world.fleet.node('b').crash();
  const patient = {
    progressDeadlineSeconds: 120,
    degradation: { allow: [], minTokensPerSecond: 0 },
  };
  world.state.applyDeployment('m', spec({ ...tensor2, ...patient }));
  await world.startControlPlane();
  await world.run(60);
  assert.equal(world.summary('m', 'Stalled'), undefined);
  assert.equal(world.summary('m', 'Planned'), 'False InsufficientNodes');
  await world.run(80);
  assert.equal(world.summary('m', 'Stalled'), 'True ProgressDeadlineExceeded');
  world.fleet.node('b').boot();
  await world.runUntil('ready', () => world.isReady('m'), 60);
});

test('an invalid YAML leaves the last good spec running, and says where it is wrong', async () => {
  const world = harness(['a']);
  world.state.applyDeployment('m', spec(single));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  const key = { kind: 'ModelDeployment', namespace: 'default', name: 'm' } as const;
  world.state.setProblems([
    { key, file: 'm.yaml', line: 7, message: 'spec.replica: unknown field' },
  ]);
  await world.clock.settle();
  assert.equal(world.summary('m', 'Degraded'), 'True InvalidSpec');
  assert.match(world.condition('m', 'Degraded')?.message ?? '', /m\.yaml:7: spec\.replica/);
  assert.ok(world.isReady('m'));
  world.state.setProblems([]);
  await world.clock.settle();
  assert.equal(world.summary('m', 'Degraded'), undefined);
});

test('a store that cannot be written changes nothing; all goes on when it can', async () => {
  const world = harness(['a']);
  world.state.applyDeployment('m', spec(single));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  const before = world.fleet.documents();
  world.state.failWith(new Error('ENOSPC'));
  world.state.applyDeployment('m', spec({ ...single, replicas: 0 }));
  await world.run(60);
  assert.deepEqual(world.fleet.documents(), before);
  world.state.failWith(undefined);
  await world.runUntil('ready', () => world.isReady('m'), 60);
  assert.equal(world.fleet.node('a').ranks.size, 0);
});
