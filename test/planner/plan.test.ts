import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { plan } from '../../src/planner/plan.ts';
import type { Plan, PlanInput, PlanResult } from '../../src/planner/types.ts';
import type { ModelDeploymentSpec } from '../../src/resources/types.ts';
import { GiB, input, node, profile } from './builders.ts';

const minis = (count: number) =>
  Array.from({ length: count }, (_, index) => node(`mini-${index + 1}`));

const found = (planInput: PlanInput): Plan => {
  const result = plan(planInput);
  assert.ok(result.ok, result.ok ? '' : `${result.reason}: ${result.message}`);
  return result.plan;
};
const refused = (planInput: PlanInput): Extract<PlanResult, { ok: false }> => {
  const result = plan(planInput);
  assert.ok(!result.ok, 'expected no plan');
  return result;
};
const tensor = (tensorSize: number): Partial<ModelDeploymentSpec> => ({
  parallelism: { strategy: 'Tensor', tensorSize },
});
const names = ({ ranks }: Plan) => ranks.map(({ nodeName }) => nodeName);

describe('strategy Auto', () => {
  it('takes one node when the model fits it', () => {
    const result = found(input(profile(10), minis(3)));
    assert.equal(result.strategy, 'Single');
    assert.equal(result.interconnectMode, 'None');
    assert.deepEqual(names(result), ['mini-1']);
    assert.match(result.explanation, /Single on mini-1: the whole model fits one node/);
  });

  it('takes the smallest tensor group that fits when one node is too small', () => {
    const result = found(input(profile(60), minis(4)));
    assert.equal(result.strategy, 'Tensor');
    assert.equal(result.tensorSize, 2);
    assert.equal(result.interconnectMode, 'TCP');
    assert.equal(result.rejected[0]?.reason, 'InsufficientMemory');
    assert.match(result.explanation, /over TCP \(mini-1 and mini-2 have no RDMA link/);
  });

  it('takes stages when heads cannot be divided', () => {
    const result = found(input(profile(60, { heads: 9, kvHeads: 3 }), minis(3)));
    assert.equal(result.strategy, 'Pipeline');
    assert.equal(result.pipelineSize, 2);
    const reasons = new Set(result.rejected.map(({ reason }) => reason));
    assert.ok(reasons.has('IndivisibleHeads'));
  });

  it('prefers the roomiest node, then the first by name', () => {
    const nodes = [
      node('b'),
      node('a'),
      node('small', { memoryBytes: 24 * GiB }),
      node('busy', { memoryBytes: 64 * GiB, usedMemoryBytes: 50 * GiB }),
    ];
    assert.deepEqual(names(found(input(profile(10), nodes))), ['a']);
  });
});

const impossible: [string, ReturnType<typeof profile>, Partial<ModelDeploymentSpec>, string][] = [
  ['indivisible heads', profile(4, { heads: 30 }), tensor(4), 'IndivisibleHeads'],
  ['indivisible KV heads', profile(4, { kvHeads: 2 }), tensor(4), 'IndivisibleKVHeads'],
  [
    'an indivisible MLP',
    profile(4, { intermediateSize: 1001 }),
    tensor(2),
    'IndivisibleIntermediateSize',
  ],
  [
    'a cut through a quantisation group',
    profile(4, { intermediateSize: 4800 }),
    tensor(2),
    'IndivisibleQuantizationGroups',
  ],
  [
    'a tensor size the engine has not',
    profile(4, {
      heads: 48,
      kvHeads: 12,
      intermediateSize: 64 * 24,
      groupSize: 32,
    }),
    tensor(3),
    'NotAvailableYet',
  ],
  [
    'more stages than layers',
    profile(4, { layers: 2 }),
    { parallelism: { strategy: 'Pipeline', pipelineSize: 3 } },
    'InsufficientLayers',
  ],
  [
    'a strategy that contradicts its sizes',
    profile(4),
    { parallelism: { strategy: 'Single', tensorSize: 2 } },
    'InvalidSpec',
  ],
  ['an unknown architecture', profile(4, { architecture: 'dbrx' }), {}, 'IncompatibleModel'],
  [
    'a configuration that the engine does not read',
    profile(4, { unsupportedBy: { BuiltIn: 'rope_scaling: expected default, got "yarn"' } }),
    {},
    'IncompatibleModel',
  ],
];

describe('explicit cuts', () => {
  it('are honoured though one node would do', () => {
    const result = found(input(profile(4), minis(4), tensor(4)));
    assert.deepEqual([result.tensorSize, result.pipelineSize, result.degradedBy], [4, 1, []]);
    assert.equal(new Set(names(result)).size, 4);
  });

  it('number ranks stage by stage in a hybrid', () => {
    const result = found(
      input(profile(4, { layers: 5 }), minis(4), {
        parallelism: { strategy: 'Hybrid', tensorSize: 2, pipelineSize: 2 },
      }),
    );
    const cut = result.ranks.map(({ rank, stage, tensorRank, firstLayer, endLayer }) => [
      rank,
      stage,
      tensorRank,
      firstLayer,
      endLayer,
    ]);
    assert.deepEqual(cut, [
      [0, 0, 0, 0, 3],
      [1, 0, 1, 0, 3],
      [2, 1, 0, 3, 5],
      [3, 1, 1, 3, 5],
    ]);
  });

  it('share the threads of a host among its ranks', () => {
    const nodes = ['a', 'b'].map((name) => node(name, { hostID: 'one', cpuCount: 3 }));
    const result = found(input(profile(1), nodes, tensor(2)));
    assert.deepEqual(
      result.ranks.map(({ threads }) => threads),
      [1, 1],
    );
  });

  for (const [what, model, overrides, reason] of impossible) {
    it(`are refused for good for ${what}`, () => {
      const result = refused(input(model, minis(4), overrides));
      assert.deepEqual([result.reason, result.terminal], [reason, true]);
    });
  }

  it('refuse engines that are not there and say which is', () => {
    const planInput = input(profile(4), minis(1));
    planInput.deployment.spec.runtime.name = 'MLX';
    const result = refused(planInput);
    assert.deepEqual([result.reason, result.terminal], ['EngineUnavailable', true]);
    assert.match(result.message, /only BuiltIn is/);
  });
});

describe('the degradation ladder', () => {
  it('takes fewer tensor ranks, then one node, when nodes are missing', () => {
    const two = found(input(profile(10), minis(3), tensor(4)));
    assert.deepEqual([two.tensorSize, two.degradedBy], [2, ['FewerNodes']]);
    const one = found(input(profile(10), minis(1), tensor(4)));
    assert.deepEqual([one.strategy, one.degradedBy], ['Single', ['FewerNodes']]);
    assert.match(one.explanation, /less than was asked for/);
  });

  it('goes to stages when fewer tensor ranks have no room', () => {
    const result = found(input(profile(100), minis(3), tensor(4)));
    assert.deepEqual(
      [result.strategy, result.pipelineSize, result.degradedBy],
      ['Pipeline', 3, ['FewerNodes', 'Pipeline']],
    );
  });

  it('is not taken beyond what is allowed', () => {
    const result = refused(
      input(profile(10), minis(3), {
        ...tensor(4),
        degradation: { allow: ['Pipeline'], minTokensPerSecond: 0 },
      }),
    );
    assert.deepEqual([result.reason, result.terminal], ['InsufficientNodes', false]);
    assert.match(result.message, /needs 4 nodes, 3 of 3 can be used/);
  });

  it('falls from RDMA to TCP when both fields allow it', () => {
    const rdma = { interconnect: { mode: 'RDMA', fallback: 'Allow' } } as const;
    const result = found(input(profile(10), minis(2), { ...tensor(2), ...rdma }));
    assert.deepEqual([result.interconnectMode, result.degradedBy], ['TCP', ['TCP']]);
    assert.equal(result.rejected[0]?.reason, 'NotAvailableYet');
    const strict = refused(
      input(profile(10), minis(2), {
        ...tensor(2),
        interconnect: { mode: 'RDMA', fallback: 'Forbid' },
      }),
    );
    assert.deepEqual([strict.reason, strict.terminal], ['NotAvailableYet', true]);
    assert.match(strict.message, /mini-1 and mini-2 have no RDMA link/);
  });

  it('needs no interconnect on one node, whatever is asked for', () => {
    const result = found(
      input(profile(10), minis(2), { interconnect: { mode: 'RDMA', fallback: 'Forbid' } }),
    );
    assert.equal(result.interconnectMode, 'None');
  });
});

describe('memory', () => {
  it('says what is missing where, to the byte', () => {
    const result = refused(
      input(profile(60), [node('mini-1', { usedMemoryBytes: 10 * GiB })], {
        placement: { nodeSelector: { matchLabels: {} }, tolerations: [], memoryHeadroom: '8Gi' },
      }),
    );
    assert.deepEqual([result.reason, result.terminal], ['InsufficientMemory', false]);
    assert.match(
      result.message,
      /^Single on mini-1: needs [\d.]+ GiB \(weights 60\.0 GiB \+ KV cache 4\.0 GiB \+ workspace [\d.]+ MiB\) on mini-1, 25\.2 GiB free of 48\.0 GiB \(4\.8 GiB reserved, 8\.0 GiB headroom, 10\.0 GiB held by other groups\): short by [\d.]+ GiB \([\d,]+ bytes\)$/,
    );
  });

  it('speaks of the option that comes closest', () => {
    const result = refused(input(profile(200), minis(4)));
    assert.match(result.message, /^No cut fits; closest of \d+: .* on mini-1/);
  });

  it('counts a host once when several nodes share it', () => {
    const nodes = ['a', 'b', 'c'].map((name) => node(name, { hostID: 'one' }));
    const result = refused(input(profile(60), nodes, tensor(2)));
    assert.equal(result.reason, 'InsufficientMemory');
    assert.match(result.message, /taken by other ranks on the same host/);
    found(input(profile(30), nodes, tensor(2)));
  });

  it('caps the context at what the model has, and says so', () => {
    const result = found(input(profile(1, { maxPositions: 512 }), minis(1)));
    assert.equal(result.contextLength, 512);
    assert.match(result.explanation, /Context is 512 tokens, not 4096/);
  });

  it('adds up', () => {
    const { ranks } = found(input(profile(10), minis(2), tensor(2)));
    for (const { memory } of ranks) {
      const { totalBytes, ...parts } = memory;
      assert.equal(
        Object.values(parts).reduce((sum, bytes) => sum + bytes, 0),
        totalBytes,
      );
    }
  });
});

describe('nodes', () => {
  it('that may not be used are left out, each with its reason', () => {
    const base = node('x').spec;
    const nodes = [
      node('ok', { labels: { zone: 'a' } }),
      node('lost', { available: false, unavailableReason: 'last report 61 s ago' }),
      node('cordoned', { spec: { ...base, unschedulable: true } }),
      node('tainted', {
        spec: { ...base, taints: [{ key: 'maintenance', effect: 'NoSchedule' }] },
      }),
      node('elsewhere', { labels: { zone: 'b' } }),
      node('bare', { labels: { zone: 'a' }, engines: [{ name: 'MLX', version: '1' }] }),
    ];
    const result = found(
      input(profile(4), nodes, {
        placement: {
          nodeSelector: { matchLabels: { zone: 'a' } },
          tolerations: [],
          memoryHeadroom: '0',
        },
      }),
    );
    assert.deepEqual(names(result), ['ok']);
    assert.deepEqual(
      Object.fromEntries(result.rejected.map(({ option, reason }) => [option, reason])),
      {
        'Node bare': 'EngineUnavailable',
        'Node cordoned': 'NodeCordoned',
        'Node elsewhere': 'NodeSelectorMismatch',
        'Node lost': 'NodeLost',
        'Node tainted': 'TaintNotTolerated',
      },
    );
  });

  it('with a tolerated taint are used', () => {
    const taints = [{ key: 'maintenance', effect: 'NoSchedule' as const }];
    const nodes = [node('a', { spec: { ...node('a').spec, taints } })];
    found(
      input(profile(4), nodes, {
        placement: {
          nodeSelector: { matchLabels: {} },
          tolerations: [{ key: 'maintenance' }],
          memoryHeadroom: '0',
        },
      }),
    );
  });

  it('that are none at all are awaited', () => {
    const result = refused(input(profile(4), []));
    assert.deepEqual([result.reason, result.terminal], ['InsufficientNodes', false]);
  });
});

describe('nodes that run the group now', () => {
  it('keep it while they fit', () => {
    const running = found(input(profile(10), [node('b'), node('c')], tensor(2)));
    const current = { tensorSize: 2, pipelineSize: 1, nodeNames: names(running) };
    const more = [node('a', { memoryBytes: 512 * GiB }), node('b'), node('c')];
    assert.deepEqual(names(found({ ...input(profile(10), more, tensor(2)), current })), ['b', 'c']);
    const auto = found({ ...input(profile(60), more), current });
    assert.deepEqual([auto.tensorSize, names(auto)], [2, ['b', 'c']]);
  });

  it('stay in it when another one is replaced', () => {
    const current = { tensorSize: 2, pipelineSize: 1, nodeNames: ['gone', 'c'] };
    const nodes = [node('a'), node('b'), node('c'), node('gone', { available: false })];
    const result = found({ ...input(profile(10), nodes, tensor(2)), current });
    assert.ok(names(result).includes('c'));
  });

  it('do not decide where it goes once they have lost their room', () => {
    const current = { tensorSize: 2, pipelineSize: 1, nodeNames: ['full', 'gone'] };
    const full = node('full', { usedMemoryBytes: 47 * GiB });
    const hosts = ['a', 'b', 'b'].map((hostID, index) =>
      node(`${hostID}${index}`, { hostID, memoryBytes: (index === 0 ? 64 : 48) * GiB }),
    );
    for (const nodes of [
      [full, ...hosts],
      [{ ...full, available: false }, ...hosts],
    ]) {
      const result = found({ ...input(profile(10), nodes, tensor(2)), current });
      assert.deepEqual(names(result), ['b1', 'b2']);
    }
  });
});
