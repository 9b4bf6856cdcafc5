import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from '../support/fast-check.ts';
import type { MachineFacts } from '../../src/catalogue/facts.ts';
import { maximalMeshes } from '../../src/planner/topology/cliques.ts';
import {
  createTopology,
  namedGaps,
  rdmaGapOf,
  wireBetween,
} from '../../src/planner/topology/topology.ts';
import type { End } from '../../src/planner/topology/rdma.ts';
import type { PlanNode } from '../../src/planner/types.ts';
import { node } from './builders.ts';

const mini: MachineFacts = {
  modelIdentifiers: ['Mac16,11'],
  marketingName: 'Mac mini (M4 Pro, 2024)',
  chip: 'M4 Pro',
  configurations: [{ memoryGiB: 48, gpuCores: 16 }],
  thunderbolt: 'Thunderbolt5',
  rdmaPorts: 3,
  ethernetGbps: 10,
  idleWatts: 5,
  maxWatts: 140,
  wiredShare: { upTo32GiB: 0.667, above32GiB: 0.75 },
  source: 'a test',
};
const m1: MachineFacts = {
  ...mini,
  marketingName: 'Mac mini (M1, 2020)',
  chip: 'M1',
  thunderbolt: 'Thunderbolt3',
  rdmaPorts: 0,
};

const text = (meshes: number[][]) => meshes.map(String).toSorted();

/** Cabled as told: "ab bc" is a cable between a and b and one between b and c. */
const fleet = (
  names: string,
  cables: string,
  change: Record<string, Partial<PlanNode>> = {},
  machine: MachineFacts = mini,
): End[] =>
  names.split('').map((name) => {
    const peers = cables
      .split(' ')
      .filter((cable) => cable.includes(name))
      .map((cable) => cable.replace(name, ''));
    const links = peers.map((peerNodeName) => ({
      peerNodeName,
      type: 'Thunderbolt5',
      rdma: true,
      up: true,
    }));
    return { node: node(name, { links, ...change[name] }), machine };
  });
const islands = (ends: End[]) =>
  createTopology(ends).islands.map(({ members, form }) => [
    form,
    members.map((index) => ends[index]?.node.name).join(''),
  ]);

describe('islands', () => {
  it('are what RDMA connects: meshes, rings, chains and single nodes', () => {
    assert.deepEqual(islands(fleet('abcdefghi', 'ab ac bc de ef fg gd hi')), [
      ['FullMesh', 'abc'],
      ['Ring', 'defg'],
      ['FullMesh', 'hi'],
    ]);
    assert.deepEqual(islands(fleet('abcd', 'ab bc')), [
      ['PartialMesh', 'abc'],
      ['Single', 'd'],
    ]);
  });

  it('list the full meshes inside a partial one', () => {
    const [island] = createTopology(fleet('abcde', 'ab ac bc cd de')).islands;
    assert.deepEqual(island?.meshes, [
      [0, 1, 2],
      [2, 3],
      [3, 4],
    ]);
  });

  it('have no more RDMA than the machine has ports, and say which peers took them', () => {
    const star = createTopology(fleet('abcde', 'ab ac ad ae'));
    assert.deepEqual(star.rdmaPeers[0], [1, 2, 3]);
    assert.match(
      rdmaGapOf(star, 0, 4) ?? '',
      /a and e have no RDMA link: a has 3 ports for RDMA, taken by b, c, d/,
    );
  });
});

describe('RDMA is missing, by name, when', () => {
  const off = { linkPolicy: { allowRDMA: false, manageNetwork: 'Observe' as const } };
  const rows: [string, End[], RegExp][] = [
    [
      'only one end declares the cable',
      fleet('ab', 'ab', { b: { links: [] } }),
      /b shows no link to a/,
    ],
    [
      'macOS is older',
      fleet('ab', 'ab', { b: { osVersion: '26.1' } }),
      /b has macOS 26\.1, RDMA needs 26\.2/,
    ],
    [
      'a node forbids it',
      fleet('ab', 'ab', { a: { spec: { ...node('a').spec, ...off } } }),
      /allowRDMA: false/,
    ],
    [
      'the machine has Thunderbolt 3',
      fleet('ab', 'ab', {}, m1),
      /a is a Mac mini \(M1, 2020\) with Thunderbolt3/,
    ],
  ];
  for (const [what, ends, message] of rows) {
    it(what, () => {
      const topology = createTopology(ends);
      assert.deepEqual(
        topology.islands.map(({ form }) => form),
        ['Single', 'Single'],
      );
      assert.match(rdmaGapOf(topology, 0, 1) ?? '', message);
      assert.equal(namedGaps(topology).length, 1);
    });
  }

  it('but a version that is not known is taken for recent', () => {
    assert.deepEqual(islands(fleet('ab', 'ab', { a: { osVersion: '' } })), [['FullMesh', 'ab']]);
  });
});

it('packets take the better cable, no better than the ports of both ends, else the network', () => {
  const [a, b] = fleet('ab', 'ab');
  const [c] = fleet('c', '');
  assert.ok(a && b && c);
  assert.equal(wireBetween(a, b), 'Thunderbolt5');
  assert.equal(wireBetween(a, { ...b, machine: m1 }), 'Thunderbolt3');
  assert.equal(wireBetween(a, c), 'Ethernet');
  const shared = { ...b, node: { ...b.node, hostID: a.node.hostID } };
  assert.equal(wireBetween(a, shared), 'SharedHost');
});

it('the full meshes are exactly the maximal sets of mutual neighbours', () => {
  const graphs = fc
    .array(fc.tuple(fc.nat(8), fc.nat(8)), { maxLength: 24 })
    .map((pairs) =>
      Array.from({ length: 9 }, (_, one) =>
        Array.from({ length: 9 }, (_unused, other) => other).filter(
          (other) =>
            other !== one &&
            pairs.some(([a, b]) => (a === one && b === other) || (a === other && b === one)),
        ),
      ),
    );
  fc.assert(
    fc.property(graphs, (peers) => {
      const joined = (set: number[]) =>
        set.every((one) => set.every((other) => one === other || peers[one]?.includes(other)));
      const sets = Array.from({ length: 2 ** 9 }, (_, bits) =>
        peers.map((_unused, node) => node).filter((node) => (bits >> node) & 1),
      ).filter((set) => set.length > 1 && joined(set));
      const maximal = sets.filter((set) =>
        peers.every((_, node) => set.includes(node) || !joined([...set, node])),
      );
      assert.deepEqual(text(maximalMeshes(peers)), text(maximal));
    }),
    { numRuns: 100 },
  );
});
