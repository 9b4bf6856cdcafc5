import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  revisionedFields,
  revisionHash,
  revisionName,
  sameRevision,
} from '../../src/resources/revision.ts';
import type { ModelDeploymentSpec } from '../../src/resources/types.ts';

const spec: ModelDeploymentSpec = {
  replicas: 1,
  model: { uri: 'file:///models/sprout', servedNames: [] },
  runtime: { name: 'Auto', version: '', args: [], contextLength: 4096, maxConcurrentRequests: 4 },
  objective: 'SustainedThroughput',
  parallelism: { strategy: 'Auto' },
  interconnect: { mode: 'Auto', fallback: 'Allow' },
  placement: { nodeSelector: { matchLabels: {} }, tolerations: [], memoryHeadroom: '0' },
  degradation: { allow: ['FewerNodes', 'Pipeline', 'TCP'], minTokensPerSecond: 0 },
  priority: 0,
  preemptionPolicy: 'Never',
  strategy: {
    type: 'Recreate',
    rollingUpdate: { maxUnavailable: 1, maxSurge: 0, partition: 0 },
    onFailure: 'Hold',
  },
  dataPolicy: { egress: 'Deny' },
  restartPolicy: { maxGroupRestarts: 5, backoffSeconds: 10 },
  progressDeadlineSeconds: 3600,
  minReadySeconds: 0,
  revisionHistoryLimit: 10,
  drainTimeoutSeconds: 60,
  paused: false,
};

test('fields that change in place do not make a revision', () => {
  const scaled: ModelDeploymentSpec = {
    ...spec,
    replicas: 3,
    paused: true,
    strategy: { ...spec.strategy, type: 'RollingUpdate' },
    revisionHistoryLimit: 2,
    priority: 1000,
    preemptionPolicy: 'PreemptLowerPriority',
  };
  assert.equal(revisionHash(scaled), revisionHash(spec));
  assert.equal(sameRevision(scaled, spec), true);
  assert.equal('replicas' in revisionedFields(scaled), false);
});

test('every revisioned field makes a revision', () => {
  const changes: Partial<ModelDeploymentSpec>[] = [
    { model: { ...spec.model, uri: 'file:///models/other' } },
    { runtime: { ...spec.runtime, contextLength: 8192 } },
    { objective: 'Efficiency' },
    { parallelism: { strategy: 'Tensor', tensorSize: 2 } },
    { interconnect: { mode: 'TCP', fallback: 'Allow' } },
    { placement: { ...spec.placement, memoryHeadroom: '1Gi' } },
    { degradation: { ...spec.degradation, allow: [] } },
    { dataPolicy: { egress: 'Allow' } },
  ];
  const hashes = changes.map((change) => revisionHash({ ...spec, ...change }));
  assert.equal(new Set([revisionHash(spec), ...hashes]).size, changes.length + 1);
});

test('the order of keys changes nothing', () => {
  const reordered = {
    ...spec,
    runtime: Object.fromEntries(
      Object.entries(spec.runtime).toReversed(),
    ) as ModelDeploymentSpec['runtime'],
  };
  assert.equal(revisionHash(reordered), revisionHash(spec));
});

test('the hash of a known spec never changes, so that an upgrade rolls nothing', () => {
  assert.equal(
    revisionHash(spec),
    '49a11c06ed296fc8ec6113a92d8ee7040ed8640dd46ae21744bfde5475422b86',
  );
  assert.equal(revisionName('sprout', revisionHash(spec)), 'sprout-z9cj4sfp');
});
