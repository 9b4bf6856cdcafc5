import assert from 'node:assert/strict';
import { test } from 'node:test';
import { spec } from '../planner/builders.ts';
import { harness } from './harness.ts';

const single = {
  parallelism: { strategy: 'Single' as const },
  restartPolicy: { maxGroupRestarts: 0, backoffSeconds: 1 },
};
const onFailure = (onFailure: 'Hold' | 'Rollback') => ({
  strategy: {
    type: 'RollingUpdate' as const,
    rollingUpdate: { maxUnavailable: 1, maxSurge: 0, partition: 0 },
    onFailure,
  },
});
const contextLength = (length: number) => ({
  runtime: { ...spec().runtime, contextLength: length },
});

test('a spec that is mended while the failed group still stops is rolled out, and blamed for nothing', async () => {
  const world = harness(['a']);
  world.state.applyDeployment('m', spec({ ...single, ...onFailure('Hold') }));
  await world.startControlPlane();
  await world.runUntil('ready', () => world.isReady('m'));
  const failure = { code: 'RankExited', message: 'no', terminal: false } as const;
  world.fleet.poison.set('m', failure);
  world.state.applyDeployment(
    'm',
    spec({ ...single, ...onFailure('Hold'), ...contextLength(8192) }),
  );
  const group = () => world.deployment('m').status.groups[0];
  await world.runUntil('the rank has failed', () => group()?.members[0]?.state === 'Failed');
  world.fleet.node('a').isCutOff = true;
  assert.deepEqual([group()?.state, group()?.after], ['Stopping', 'Hold']);
  world.fleet.poison.clear();
  const mended = spec({ ...single, ...onFailure('Rollback'), ...contextLength(2048) });
  world.state.applyDeployment('m', mended);
  await world.run(5);
  world.fleet.node('a').isCutOff = false;
  await world.runUntil('what was mended serves', () => world.isReady('m'), 120);
  assert.equal(world.deployment('m').status.failedRevision, undefined);
  assert.equal(group()?.contextLength, 2048);
});
