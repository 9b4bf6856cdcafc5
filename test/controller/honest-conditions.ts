import assert from 'node:assert/strict';
import type { Condition, ModelDeployment } from '../../src/resources/types.ts';

/** The rules that kstatus and Flux's condition checker hold against a status; see docs/conditions.md. */
export const assertHonestConditions = ({ metadata, status }: ModelDeployment): void => {
  const { conditions, observedGeneration } = status;
  if (observedGeneration === -1 && conditions.length === 0) return;
  const find = (type: string): Condition | undefined =>
    conditions.find((condition) => condition.type === type);
  const ready = find('Ready');
  assert.ok(ready, 'Ready is always there');
  assert.ok(observedGeneration <= metadata.generation, 'observedGeneration is not ahead');
  const isReady = ready.status === 'True';
  for (const type of ['Reconciling', 'Stalled']) {
    assert.ok(!(isReady && find(type)), `never Ready and ${type}`);
  }
  assert.ok(!(find('Reconciling') && find('Stalled')), 'never Reconciling and Stalled');
  assert.ok(ready.status !== 'Unknown' || find('Reconciling'), 'Unknown only on the way');
  for (const condition of conditions) {
    assert.match(condition.reason, /^[A-Z][A-Za-z]+$/, condition.type);
    assert.ok(condition.observedGeneration <= metadata.generation, condition.type);
    if (isReady) assert.equal(condition.observedGeneration, observedGeneration, condition.type);
  }
  for (const type of ['Reconciling', 'Stalled', 'Degraded']) {
    assert.ok((find(type)?.status ?? 'True') === 'True', `${type} is True or absent`);
  }
};
