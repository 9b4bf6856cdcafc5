import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evictionsOf } from '../../src/controller/deployment/preemption.ts';
import type {
  GroupStatus,
  ModelDeployment,
  ModelDeploymentSpec,
} from '../../src/resources/types.ts';
import { full, preemptor } from './preempting.ts';

const groupZero: GroupStatus = {
  index: 0,
  revision: 'r-1',
  state: 'Waiting',
  incarnation: 0,
  restarts: 0,
  members: [],
};

const deployment = (
  name: string,
  spec: ModelDeploymentSpec,
  group: GroupStatus,
  deletionTimestamp?: string,
): ModelDeployment => ({
  apiVersion: 'espalier.dev/v1alpha1',
  kind: 'ModelDeployment',
  metadata: {
    name,
    namespace: 'default',
    uid: name,
    generation: 1,
    creationTimestamp: '2026-11-23T00:00:00Z',
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
  },
  spec,
  status: {
    observedGeneration: 1,
    conditions: [],
    replicas: 1,
    readyReplicas: 0,
    updatedReplicas: 0,
    availableReplicas: 0,
    groups: [group],
  },
});

const awaiting = (overrides: Partial<ModelDeploymentSpec>, deletionTimestamp?: string) => {
  const awaited = { namespace: 'default', name: 'm', index: 0, incarnation: 3 };
  const group = { ...groupZero, preemption: { room: [], awaits: [awaited] } };
  return deployment('chat', preemptor(overrides), group, deletionTimestamp);
};

const rows: [title: string, awaiting: ModelDeployment, isEvicted: boolean][] = [
  ['higher', awaiting({}), true],
  ['of the same priority', awaiting({ priority: 5 }), false],
  ['lower', awaiting({ priority: 4 }), false],
  ['paused', awaiting({ paused: true }), false],
  ['without the policy', awaiting({ preemptionPolicy: 'Never' }), false],
  ['smaller now', awaiting({ replicas: 0 }), false],
  ['being deleted', awaiting({}, '2026-11-23T12:00:00Z'), false],
];

for (const [title, other, isEvicted] of rows) {
  test(`a group that is waited for leaves or not for a deployment that is ${title}`, () => {
    const victim = deployment('m', full({ priority: 5 }), { ...groupZero, incarnation: 3 });
    const anew = deployment('m', full({ priority: 5 }), { ...groupZero, incarnation: 4 });
    const namesake = { ...victim, metadata: { ...victim.metadata, namespace: 'elsewhere' } };
    const expected = isEvicted ? [[0, 'default/chat (priority 10)']] : [];
    assert.deepEqual([...evictionsOf(victim, [victim, other])], expected);
    assert.deepEqual([...evictionsOf(anew, [anew, other])], []);
    assert.deepEqual([...evictionsOf(namesake, [namesake, other])], []);
  });
}
