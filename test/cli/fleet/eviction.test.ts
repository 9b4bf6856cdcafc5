import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  brokenPromises,
  groupsOn,
  liveRanks,
  tolerating,
} from '../../../src/cli/fleet/eviction.ts';
import { clusterNode, condition, deployment, group } from '../objects.ts';

const two = (first: string, second: string, maxUnavailable = 1) =>
  deployment('m', {
    spec: { replicas: 2, strategy: { rollingUpdate: { maxUnavailable } } },
    status: {
      readyReplicas: 2,
      groups: [
        group('Ready', { [first]: 'Ready' }),
        group('Ready', { [second]: 'Ready' }, { index: 1 }),
      ],
    },
  });

test('a drain may take as many groups as maxUnavailable says, and never the last one that serves', () => {
  assert.deepEqual(brokenPromises('mini-1', [two('mini-1', 'mini-2')]), []);
  assert.deepEqual(brokenPromises('mini-3', [two('mini-1', 'mini-2')]), []);
  assert.match(
    brokenPromises('mini-1', [two('mini-1', 'mini-1')]).join(),
    /promises 1 .* 0 would be left/,
  );
  assert.match(
    brokenPromises('mini-1', [two('mini-1', 'mini-2', 0)]).join(),
    /promises 2 .* 1 would be left/,
  );
});

test('a group that does not serve has nothing to lose', () => {
  const starting = deployment('m', {
    status: { groups: [group('Starting', { 'mini-1': 'Loading' })] },
  });
  assert.deepEqual(brokenPromises('mini-1', [starting]), []);
  assert.deepEqual(
    groupsOn('mini-1', [starting]).map(({ deployment: name, group: index }) => [name, index]),
    [['m', 0]],
  );
});

test('a deployment that tolerates the taint of a drain would stay for ever, and is named', () => {
  const stays = deployment('m', {
    spec: { placement: { tolerations: [{ key: 'espalier.dev/drain' }] } },
    status: { groups: [group('Ready', { 'mini-1': 'Ready' })] },
  });
  assert.deepEqual(tolerating(clusterNode('mini-1'), [stays]), ['default/m']);
  assert.deepEqual(tolerating(clusterNode('mini-2'), [stays]), []);
  assert.deepEqual(tolerating(clusterNode('mini-1'), [two('mini-1', 'mini-2')]), []);
});

const states = (node: ReturnType<typeof clusterNode>) => liveRanks(node).map(({ state }) => state);

test('ranks that ended do not keep a drain waiting, nor does what a lost node said last', () => {
  const ranks = ['Ready', 'Stopping', 'Stopped', 'Failed'].map((state, rank) => ({
    deployment: 'default/m',
    group: 0,
    rank,
    state,
  }));
  assert.deepEqual(states(clusterNode('mini-1', { status: { ranks } })), ['Ready', 'Stopping']);
  const lost = [condition('Ready', 'Unknown', 'NodeLost')];
  assert.deepEqual(states(clusterNode('mini-1', { status: { ranks, conditions: lost } })), []);
});
