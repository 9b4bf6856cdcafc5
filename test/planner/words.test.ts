import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { describeValues } from '../../src/planner/objective.ts';
import { plan } from '../../src/planner/plan.ts';
import { refuse } from '../../src/planner/verdict.ts';
import type { PlanResult, Workload } from '../../src/planner/types.ts';
import { GiB, node, profile, spec } from './builders.ts';
import { catalogue } from './fleets.ts';

const onMini = (hardwareModel: string, workload?: Workload, asked = spec()): PlanResult =>
  plan({
    deployment: { namespace: 'default', name: 'm', spec: asked },
    model: profile(10),
    nodes: [node('a', { hardwareModel, chip: '', engines: [], memoryBytes: 64 * GiB })],
    catalogue,
    ...(workload ? { workload } : {}),
  });

const explained = (result: PlanResult): string => (result.ok ? result.plan.explanation : '');

describe('what a plan says', () => {
  it('two values in as many digits as tell them apart', () => {
    const result = onMini('Mac16,11');
    assert.ok(result.ok && result.plan.predicted);
    const { predicted } = result.plan;
    const slower = { ...predicted, aggregateTokensPerSecond: 9.16 };
    const faster = { ...predicted, aggregateTokensPerSecond: 9.21 };
    assert.deepEqual(describeValues('SustainedThroughput', faster, slower), [
      '9.21 tok/s in all',
      '9.16 tok/s in all',
    ]);
    assert.deepEqual(
      describeValues('SustainedThroughput', faster, { ...slower, aggregateTokensPerSecond: 8 }),
      ['9.2 tok/s in all', '8.0 tok/s in all'],
    );
    assert.deepEqual(describeValues('SustainedThroughput', slower, slower), [
      '9.2 tok/s in all',
      '9.2 tok/s in all',
    ]);
  });

  it('why no speed is predicted', () => {
    const { runtime } = spec();
    const withMLX = spec({ runtime: { ...runtime, name: 'MLX' } });
    assert.match(
      explained(onMini('Mac99,1', undefined, withMLX)),
      /catalogue does not know machine and chip of a \(Mac99,1\)/,
    );
    assert.doesNotMatch(explained(onMini('Mac16,11')), /No speed is predicted/);
  });

  it('that a prompt is longer than what memory is planned for', () => {
    const long = { promptTokens: 32_768, generatedTokens: 128 };
    assert.match(
      explained(onMini('Mac16,11', long)),
      /for 32896 tokens of prompt and answer: more than the context of 4096/,
    );
    assert.doesNotMatch(explained(onMini('Mac16,11')), /more than the context/);
  });

  it('the same of a Mac by its identifier in any case, its name, or its chip', () => {
    const speeds = [
      'Mac16,11',
      'mac16,11',
      'mac mini (m4 pro, 2024)',
      'M4 Pro',
      'Apple M4 Pro',
    ].map((name) => {
      const result = onMini(name);
      return result.ok ? result.plan.predicted?.decodeTokensPerSecond : undefined;
    });
    assert.ok(speeds[0] !== undefined);
    assert.deepEqual(new Set(speeds).size, 1);
  });

  it('what was wrong with a cut before what is wrong with an engine', () => {
    const result = refuse(
      [
        { option: 'Engine A', reason: 'IncompatibleModel', message: 'no', terminal: true },
        {
          option: 'B: Tensor 3',
          reason: 'IndivisibleHeads',
          message: 'never',
          terminal: true,
          shape: { tensorSize: 3, pipelineSize: 1 },
        },
      ],
      [],
      { exact: true },
    );
    assert.ok(!result.ok);
    assert.equal(result.reason, 'IndivisibleHeads');
  });
});
