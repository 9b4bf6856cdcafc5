import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toDot } from '../../src/planner/picture/dot.ts';
import { fleetPicture } from '../../src/planner/picture/fleet-picture.ts';
import type { PicturedPlan } from '../../src/planner/picture/fleet-picture.ts';
import { toSvg } from '../../src/planner/picture/svg.ts';
import type { PlannedRank } from '../../src/planner/types.ts';
import { GiB, node } from './builders.ts';

const memory = {
  shardedWeightsBytes: 8 * GiB,
  replicatedWeightsBytes: GiB,
  kvCacheBytes: 2 * GiB,
  workspaceBytes: GiB,
  totalBytes: 12 * GiB,
};

const rank = (nodeName: string, place: Partial<PlannedRank>): PlannedRank => ({
  nodeName,
  rank: 0,
  tensorRank: 0,
  stage: 0,
  firstLayer: 0,
  endLayer: 10,
  threads: 1,
  memory,
  ...place,
});

const cables = (...peers: string[]) =>
  peers.map((peerNodeName) => ({ peerNodeName, type: 'Thunderbolt5', rdma: true, up: true }));

const hybrid: PicturedPlan = {
  deployment: 'inference/big',
  model: { hiddenSize: 4096 },
  plan: {
    tensorSize: 2,
    pipelineSize: 2,
    interconnectMode: 'RDMA',
    hopMode: 'TCP',
    ranks: [
      rank('a', {}),
      rank('b', { rank: 1, tensorRank: 1 }),
      rank('c', { rank: 2, stage: 1, firstLayer: 10, endLayer: 15 }),
      rank('d', { rank: 3, stage: 1, tensorRank: 1, firstLayer: 10, endLayer: 15 }),
    ],
  },
};

const fleet = [
  node('d', { links: cables('c') }),
  node('a', { links: cables('b') }),
  node('b', { links: cables('a') }),
  node('c', { links: cables('d') }),
  node('e'),
];

test('each pair of a stage carries two vectors for each all-reduce, and stages one vector for each slice', () => {
  const traffic = fleetPicture(fleet, [hybrid]).cables.map(
    ({ a, b, type, mode, bytesPerToken }) => [a, b, type, mode, bytesPerToken],
  );
  const vectorBytes = 4096 * 2;
  assert.deepEqual(traffic, [
    ['a', 'b', 'Thunderbolt5', 'RDMA', 2 * 2 * 10 * vectorBytes],
    ['a', 'c', 'Network', 'TCP', vectorBytes],
    ['b', 'd', 'Network', 'TCP', vectorBytes],
    ['c', 'd', 'Thunderbolt5', 'RDMA', 2 * 2 * 5 * vectorBytes],
  ]);
});

test('nodes come in order of name with what lies on them, idle ones too', () => {
  const { nodes } = fleetPicture(fleet, [hybrid]);
  assert.deepEqual(
    nodes.map(({ name, shards }) => [name, shards.map(({ label }) => label)]),
    [
      ['a', ['rank 0: layers 0–9, slice 1 of 2']],
      ['b', ['rank 1: layers 0–9, slice 2 of 2']],
      ['c', ['rank 2: layers 10–14, slice 1 of 2']],
      ['d', ['rank 3: layers 10–14, slice 2 of 2']],
      ['e', []],
    ],
  );
});

test('the same fleet in any order gives the same picture', () => {
  const picture = fleetPicture(fleet, [hybrid]);
  assert.deepEqual(fleetPicture(fleet.toReversed(), [hybrid]), picture);
});

test('DOT and SVG name every node, shard and cable, with markup escaped', () => {
  const odd = fleetPicture([...fleet, node('x', { hardwareModel: 'a "b" <c> & \\d' })], [hybrid]);
  const dot = toDot(odd);
  assert.match(dot, /"a" -- "b" \[label="Thunderbolt5, RDMA, 320 KiB a token", style=bold\]/);
  assert.match(dot, /a \\"b\\" <c> & \\\\d/);
  assert.match(dot, /"e" \[label="e\\n.*style=dashed\]/);
  const svg = toSvg(odd);
  assert.match(svg, /a "b" &lt;c&gt; &amp; \\d/);
  assert.equal(svg.match(/class="box/g)?.length, 6);
  assert.equal(svg.match(/<line class="rdma" .*<title>/g)?.length, 2);
  assert.equal(svg.match(/<line class="tcp" .*<title>/g)?.length, 2);
});

/** Of every box of a drawing: x, y, height. */
const boxesOf = (svg: string): [number, number, number][] =>
  [...svg.matchAll(/class="box.*?" x="(\d+)" y="(\d+)" width="250" height="(\d+)"/g)].map(
    ([, x, y, height]) => [Number(x), Number(y), Number(height)],
  );

test('what a cable carries is written where no box hides it', () => {
  for (const count of [2, 3, 4, 5, 6, 7, 8]) {
    const names = Array.from({ length: count }, (_, index) => `n${index}`);
    const plan = {
      tensorSize: 1,
      pipelineSize: count,
      interconnectMode: 'RDMA' as const,
      ranks: names.map((name, index) => rank(name, { rank: index, stage: index })),
    };
    const ring = names.map((name, index) =>
      node(name, { links: cables(names[(index + 1) % count] ?? '') }),
    );
    const svg = toSvg(fleetPicture(ring, [{ deployment: 'd', model: { hiddenSize: 4096 }, plan }]));
    const labels = [...svg.matchAll(/class="traffic" x="(\d+)" y="(\d+)"/g)];
    assert.equal(labels.length, count - 1);
    for (const [, x, y] of labels) {
      const hiding = boxesOf(svg).filter(
        ([left, top, height]) =>
          Number(x) > left && Number(x) < left + 250 && Number(y) > top && Number(y) < top + height,
      );
      assert.deepEqual(hiding, [], `label at ${x}, ${y} of ${count} nodes`);
    }
  }
});

test('in rows, a cable that would run behind a third node bends around it', () => {
  const names = Array.from({ length: 16 }, (_, index) => `n${String(index).padStart(2, '0')}`);
  const joined = names.map((name, index) =>
    node(name, { links: index === 0 ? cables('n01', 'n03', 'n12') : [] }),
  );
  const svg = toSvg(fleetPicture(joined, []));
  assert.match(svg, /<line .*<title>n00 – n01: /);
  assert.match(svg, /<path .*<title>n00 – n03: /);
  assert.match(svg, /<path .*<title>n00 – n12: /);
});

test('where labels would hide each other the legend says what cables carry', () => {
  const few = toSvg(fleetPicture(fleet, [hybrid]));
  assert.match(few, />RDMA<.*>TCP</s);
  const idle = Array.from({ length: 5 }, (_, index) => node(`n${index}`));
  const rows = toSvg(fleetPicture([...fleet, ...idle], [hybrid]));
  assert.doesNotMatch(rows, /class="traffic"/);
  assert.match(rows, />RDMA, 160 KiB to 320 KiB a token each<.*>TCP, 8\.0 KiB a token each</s);
});

test('names that are too long for a box are cut', () => {
  const svg = toSvg(fleetPicture([node('a'.repeat(60))], []));
  assert.match(svg, />a{27}…</);
});

test('a fleet of more nodes than stand around a table is drawn in rows', () => {
  const many = Array.from({ length: 20 }, (_, index) => node(`n${String(index).padStart(2, '0')}`));
  const svg = toSvg(fleetPicture(many, []));
  const rows = new Set([...svg.matchAll(/class="box idle" x="\d+" y="(\d+)"/g)].map(([, y]) => y));
  assert.equal(rows.size, 4);
});
