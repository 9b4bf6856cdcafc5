import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { profileOf } from '../../src/catalogue/profile.ts';
import { plan } from '../../src/planner/plan.ts';
import type { PlanInput, PlanNode, PlanOption } from '../../src/planner/types.ts';
import type { ModelDeploymentSpec } from '../../src/resources/types.ts';
import { configOf } from '../catalogue/published-models.ts';
import { cabled, catalogue } from './fleets.ts';
import { GiB, profile, spec } from './builders.ts';

const mini = { hardwareModel: 'Mac16,11', chip: 'M4 Pro', memoryBytes: 64 * GiB };
const minis = (count: number, cables: [number, number][]): PlanNode[] =>
  cabled(
    Array.from({ length: count }, () => mini),
    cables,
  );

const optionsOn = (
  nodes: PlanNode[],
  overrides: Partial<ModelDeploymentSpec> = {},
  more: Partial<PlanInput> = {},
): PlanOption[] => {
  const deployment = { namespace: 'default', name: 'm', spec: spec(overrides) };
  return plan({ deployment, model: profile(30), nodes, catalogue, ...more }).options;
};

const withoutRDMA = (options: PlanOption[]) =>
  options.filter(({ reason, engine }) => reason === 'NoRDMAMesh' && engine === 'EXO');

describe('an option that lost says what would have to change:', () => {
  it('the cable that a ring lacks for a tensor group over RDMA', () => {
    const ring = minis(4, [
      [0, 1],
      [1, 2],
      [2, 3],
      [3, 0],
    ]);
    const [lost, ...others] = withoutRDMA(optionsOn(ring));
    assert.deepEqual(others, []);
    assert.deepEqual(
      [lost?.verdict, lost?.tensorSize, lost?.interconnectMode, lost?.nodeNames],
      ['Rejected', 4, 'RDMA', ['n0', 'n1', 'n2', 'n3']],
    );
    assert.match(lost?.message ?? '', /n0 and n2 have no RDMA link: n0 shows no link to n2$/);
  });

  it('the end that shows no cable, or has an older macOS', () => {
    const [a, b] = minis(2, [[0, 1]]);
    assert.ok(a && b);
    const [oneSided] = withoutRDMA(optionsOn([a, { ...b, links: [] }]));
    assert.match(oneSided?.message ?? '', /n1 shows no link to n0$/);
    const [older] = withoutRDMA(optionsOn([a, { ...b, osVersion: '26.1' }]));
    assert.match(older?.message ?? '', /n1 has macOS 26\.1, RDMA needs 26\.2 or later$/);
    assert.deepEqual(withoutRDMA(optionsOn([a, b])), []);
  });

  it('nothing where TCP was asked for', () => {
    const { interconnect } = spec();
    const nodes = minis(2, []);
    assert.deepEqual(
      withoutRDMA(optionsOn(nodes, { interconnect: { ...interconnect, mode: 'TCP' } })),
      [],
    );
  });

  it('what waits for TCP, where a little more in all would cost each request much', () => {
    const model = profileOf(configOf('Llama-3.3-70B'), {
      quantization: { bits: 4, group_size: 64 },
    });
    const options = optionsOn(minis(2, []), {}, { model });
    const [single, tensor] = ['Single', 'Tensor'].map((strategy) =>
      options.find((option) => option.strategy === strategy && option.engine === 'MLX'),
    );
    assert.equal(single?.verdict, 'Chosen');
    assert.ok(single.predicted && tensor?.predicted);
    const [alone, both] = [single.predicted, tensor.predicted];
    assert.ok(both.aggregateTokensPerSecond > alone.aggregateTokensPerSecond * 1.05);
    assert.ok(both.decodeTokensPerSecond < alone.decodeTokensPerSecond * 0.7);
    assert.match(
      tensor.message,
      /must bring 5 %, and the \d+ % of each token that waits for TCP counts half as long again/,
    );
  });

  it('an engine that nobody measured', () => {
    const found = optionsOn(minis(1, [])).find(({ engine }) => engine === 'BuiltIn');
    assert.equal(found?.reason, 'NotPredicted');
    assert.match(found.message, /engine BuiltIn: there are no measurements of it/);
  });

  it('by how much it would have to be better to be worth a move', () => {
    const m2 = { hardwareModel: 'Mac14,14', chip: 'M2 Ultra', memoryBytes: 192 * GiB };
    const m3 = { hardwareModel: 'Mac15,14', chip: 'M3 Ultra', memoryBytes: 256 * GiB };
    const [chosen, ...others] = optionsOn(
      cabled([m2, m3], []),
      { objective: 'SingleStream', runtime: { ...spec().runtime, name: 'MLX' } },
      { current: { tensorSize: 1, pipelineSize: 1, nodeNames: ['n0'] } },
    );
    assert.deepEqual(chosen?.nodeNames, ['n0']);
    const better = others.find(({ reason }) => reason === 'MoveNotEarned');
    assert.deepEqual(better?.nodeNames, ['n1']);
    assert.match(better.message, /: \d+ % better, but a group moves for 15 % only$/);
  });
});
