import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EspalierError } from '../../src/base/errors.ts';
import type { NodeLink, Store } from '../../src/controller/ports.ts';
import { createPublisher } from '../../src/controller/publisher.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { MemoryState } from '../support/memory-store.ts';
import { nodeSpec } from './harness.ts';

const setUp = () => {
  const clock = fakeClock();
  const state = new MemoryState(() => clock.now());
  state.applyNode('a', nodeSpec());
  const told: string[] = [];
  const nodeLink = {
    publish: ({ nodeName }) => void told.push(`publish ${nodeName}`),
    retract: (nodeName) => void told.push(`retract ${nodeName}`),
  } as Pick<NodeLink, 'publish' | 'retract'> as NodeLink;
  let isOver = false;
  const store: Store = Object.assign(state.open(), {
    epoch: () => {
      if (isOver) throw new EspalierError('EpochFenced', 'another may have taken over');
      return 1;
    },
  });
  const end = () => {
    isOver = true;
  };
  return { publisher: createPublisher(store, nodeLink, clock), told, end };
};

test('a control plane that leads hands out documents and takes them back', () => {
  const { publisher, told } = setUp();
  publisher.publishAll();
  publisher.retract('a');
  assert.deepEqual(told, ['publish a', 'retract a']);
});

test('a control plane that is over commands no node, though it has nothing to write', () => {
  const { publisher, told, end } = setUp();
  end();
  assert.throws(() => publisher.publish(['a']), { code: 'EpochFenced' });
  assert.throws(() => publisher.retract('a'), { code: 'EpochFenced' });
  assert.deepEqual(told, []);
});
