import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyWhatIf } from '../../../src/cli/plan/what-if.ts';
import { CommandFailure } from '../../../src/cli/exit.ts';
import { GiB, node } from '../../planner/builders.ts';

const pair = [
  node('a', { links: [{ peerNodeName: 'b', type: 'Thunderbolt5', rdma: true, up: true }] }),
  node('b', { links: [{ peerNodeName: 'a', type: 'Thunderbolt5', rdma: true, up: true }] }),
];

const peersOf = (
  nodes: readonly { name: string; links: { peerNodeName: string }[] }[],
  name: string,
) => nodes.find((one) => one.name === name)?.links.map(({ peerNodeName }) => peerNodeName);

test('a node like another has its hardware and a cable to it and to each of its peers, at both ends', () => {
  const nodes = applyWhatIf(pair, ['node/c=like/a']);
  assert.deepEqual(peersOf(nodes, 'c'), ['b', 'a']);
  assert.deepEqual(peersOf(nodes, 'a'), ['b', 'c']);
  assert.deepEqual(peersOf(nodes, 'b'), ['a', 'c']);
  const added = nodes.find(({ name }) => name === 'c');
  assert.equal(added?.hardwareModel, 'Mac16,11');
  assert.equal(added?.hostID, 'c');
  assert.ok(added?.links.every(({ rdma }) => rdma));
});

test('a node by model and memory has no cables', () => {
  const added = applyWhatIf(pair, ['node/c=Mac15,14,512Gi']).find(({ name }) => name === 'c');
  assert.equal(added?.hardwareModel, 'Mac15,14');
  assert.equal(added?.memoryBytes, 512 * GiB);
  assert.deepEqual(added?.links, []);
});

test('a node by model and memory takes nothing over from others, and may be the first', () => {
  const [a] = pair;
  assert.ok(a);
  const cordoned = { ...a, available: false, spec: { ...a.spec, unschedulable: true } };
  for (const fleet of [[], [cordoned]]) {
    const added = applyWhatIf(fleet, ['node/c=Mac15,14,512Gi']).at(-1);
    assert.deepEqual([added?.name, added?.available], ['c', true]);
    assert.equal(added?.spec.unschedulable, false);
  }
});

test('nodes are lost, cabled otherwise, updated and given memory without touching the rest', () => {
  const before = structuredClone(pair);
  assert.deepEqual(
    applyWhatIf(pair, ['lost/b']).map(({ name }) => name),
    ['a'],
  );
  const slower = applyWhatIf(pair, ['cable/b,a=Thunderbolt4']);
  assert.ok(slower.every(({ links }) => links[0]?.type === 'Thunderbolt4' && !links[0].rdma));
  assert.deepEqual(
    applyWhatIf(pair, ['cable/a,b=None']).flatMap(({ links }) => links),
    [],
  );
  assert.equal(applyWhatIf(pair, ['os/a=26.1'])[0]?.osVersion, '26.1');
  assert.equal(applyWhatIf(pair, ['memory/a=64Gi'])[0]?.memoryBytes, 64 * GiB);
  assert.deepEqual(pair, before);
});

test('changes are applied in order', () => {
  const nodes = applyWhatIf(pair, ['node/c=like/a', 'lost/a', 'memory/c=96Gi']);
  assert.deepEqual(
    nodes.map(({ name, memoryBytes }) => [name, memoryBytes / GiB]),
    [
      ['b', 48],
      ['c', 96],
    ],
  );
});

for (const change of [
  'mini-1',
  'node/a=like/b',
  'node/c=like/z',
  'node/c=64Gi',
  'node/c=Mac16,11,lots',
  'lost/z',
  'cable/a=Thunderbolt5',
  'cable/a,a=Thunderbolt5',
  'cable/a,b=Wire',
  'cable/a,z=Ethernet',
  'memory/a=many',
  'os/a',
  'os/a=abc',
]) {
  test(`--what-if ${change} is refused with what was expected`, () => {
    assert.throws(
      () => applyWhatIf(pair, [change]),
      (error: unknown) =>
        error instanceof CommandFailure &&
        error.exitCode === 2 &&
        error.message.startsWith(`--what-if ${change}: `) &&
        error.message.includes('cable/A,B=TYPE'),
    );
  });
}
