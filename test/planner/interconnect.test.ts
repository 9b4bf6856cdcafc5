import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtInEngine } from '../../src/catalogue/engine-capabilities.ts';
import { chooseMode, transportsOf } from '../../src/planner/interconnect.ts';
import type { Transport } from '../../src/planner/interconnect.ts';
import type { Shape } from '../../src/planner/shapes.ts';
import type { PlanLink, PlanNode } from '../../src/planner/types.ts';
import { node, spec } from './builders.ts';

const interconnects = ['TCP', 'RDMA'] as const;
const verbs = {
  ...builtInEngine,
  tensor: { ...builtInEngine.tensor, interconnects },
  pipeline: { ...builtInEngine.pipeline, interconnects },
};
const choose = (shape: Shape, nodes: readonly PlanNode[], transport: Transport) =>
  chooseMode(
    shape,
    nodes.map((each) => ({ node: each })),
    transport,
    verbs,
  );
const cable = (peerNodeName: string, overrides: Partial<PlanLink> = {}): PlanLink => ({
  peerNodeName,
  type: 'Thunderbolt5',
  rdma: true,
  up: true,
  ...overrides,
});
/** Nodes a, b, c, …, each with a cable to all others. */
const mesh = (count: number): PlanNode[] => {
  const names = 'abcdefgh'.slice(0, count).split('');
  return names.map((name) =>
    node(name, { links: names.filter((peer) => peer !== name).map((peer) => cable(peer)) }),
  );
};
const replaceLinks = (nodes: PlanNode[], name: string, links: PlanLink[]): PlanNode[] =>
  nodes.map((each) => (each.name === name ? { ...each, links } : each));
const noRDMA = (name: string): PlanNode => {
  const base = mesh(2).find((each) => each.name === name) ?? node(name);
  return {
    ...base,
    spec: { ...base.spec, linkPolicy: { ...base.spec.linkPolicy, allowRDMA: false } },
  };
};
const tensor = (tensorSize: number) => ({ tensorSize, pipelineSize: 1 });
const wantRDMA = { want: 'RDMA', degraded: false } as const;
const wantAny = { want: 'Auto', degraded: false } as const;

describe('RDMA', () => {
  it('is taken when every pair has a cable that both ends call up', () => {
    assert.deepEqual(choose(tensor(4), mesh(4), wantAny), { mode: 'RDMA' });
  });

  it('of a pipeline needs cables between neighbours only', () => {
    const [a, b, c] = mesh(3);
    assert.ok(a && b && c);
    const chain = replaceLinks(replaceLinks([a, b, c], 'a', [cable('b')]), 'c', [cable('b')]);
    const pipeline = { tensorSize: 1, pipelineSize: 3 };
    assert.deepEqual(choose(pipeline, chain, wantAny), { mode: 'RDMA' });
    assert.deepEqual(choose({ tensorSize: 3, pipelineSize: 1 }, chain, wantAny), {
      mode: 'TCP',
    });
  });

  const rows: [string, PlanNode[], RegExp][] = [
    [
      'one end shows no link',
      replaceLinks(mesh(2), 'b', []),
      /a and b have no RDMA link: b shows no link to a/,
    ],
    [
      'one end is down',
      replaceLinks(mesh(2), 'b', [cable('a', { up: false })]),
      /the cable from b to a is down/,
    ],
    [
      'one end has it disabled',
      replaceLinks(mesh(2), 'a', [cable('b', { rdma: false })]),
      /a has RDMA disabled/,
    ],
    [
      'the cable is Thunderbolt 4',
      replaceLinks(mesh(2), 'a', [cable('b', { type: 'Thunderbolt4' })]),
      /a reaches b by Thunderbolt4/,
    ],
    [
      'a node forbids it',
      [noRDMA('a'), ...mesh(2).slice(1)],
      /a has spec\.linkPolicy\.allowRDMA: false/,
    ],
  ];
  for (const [what, nodes, message] of rows) {
    it(`is refused by name when ${what}`, () => {
      const choice = choose(tensor(2), nodes, wantRDMA);
      assert.ok('refusal' in choice);
      assert.deepEqual([choice.refusal.reason, choice.refusal.terminal], ['NoRDMAMesh', false]);
      assert.match(choice.refusal.message, message);
      assert.deepEqual(choose(tensor(2), nodes, wantAny), { mode: 'TCP' });
    });
  }

  it('is not needed between ranks of one host', () => {
    const nodes = mesh(2).map((each) => ({ ...each, hostID: 'one', links: [] }));
    assert.deepEqual(choose(tensor(2), nodes, wantRDMA), { mode: 'RDMA' });
  });
});

const wants = (fallback: 'Allow' | 'Forbid', allow: ('FewerNodes' | 'TCP')[]) =>
  transportsOf(
    spec({
      interconnect: { mode: 'RDMA', fallback },
      degradation: { allow, minTokensPerSecond: 0 },
    }),
  ).map(({ want }) => want);

it('a fall from RDMA to TCP needs both fields', () => {
  assert.deepEqual(wants('Allow', ['TCP']), ['RDMA', 'TCP']);
  assert.deepEqual(wants('Allow', ['FewerNodes']), ['RDMA']);
  assert.deepEqual(wants('Forbid', ['TCP']), ['RDMA']);
});
