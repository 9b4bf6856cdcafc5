import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planFiles } from '../../../src/cli/plan-files.ts';
import { plan } from '../../../src/planner/plan.ts';
import { renderPlan } from '../../../src/cli/plan/render.ts';
import { GiB, input, node, profile } from '../../planner/builders.ts';

const sections = (text: string): string[] => text.trimEnd().split('\n\n');

test('the winner comes rank by rank, then every option, then what lost with its numbers', () => {
  const nodes = [node('mini-1'), node('mini-2'), node('old', { available: false })];
  const text = renderPlan(plan(input(profile(60), nodes)));
  const [title, ranks, , options, whyNot] = sections(text);
  assert.equal(title, 'Plan: Tensor 2 over TCP, engine BuiltIn');
  assert.match(
    ranks ?? '',
    /\n0 +mini-1 +0-31 +12 +[\d.]+ GiB +2\.0 GiB +[\d.]+ MiB +[\d.]+ GiB\n1 +mini-2 +0-31 /,
  );
  assert.match(
    options ?? '',
    /^OPTION +ENGINE +NODES .*VERDICT\nTensor 2 over TCP +BuiltIn +mini-1,mini-2 .*Chosen\n/,
  );
  assert.match(
    whyNot ?? '',
    /\n {2}Single \(BuiltIn\): InsufficientMemory: needs .* short by .* bytes\)/,
  );
  assert.match(whyNot ?? '', /\n {2}Node old: NodeLost: the node does not report$/);
});

test('what was given up is in the first line', () => {
  const parallelism = { strategy: 'Tensor', tensorSize: 2 } as const;
  const text = renderPlan(plan(input(profile(4), [node('a')], { parallelism })));
  assert.match(text, /^Plan: Single, engine BuiltIn, degraded by FewerNodes\n/);
});

test('no plan: the reason comes first, and whether the deployment must change', () => {
  const text = renderPlan(plan(input(profile(60), [node('a', { memoryBytes: 8 * GiB })])));
  assert.match(text, /^No plan: InsufficientMemory\n\nSingle on a: needs .* short by .* bytes\)\n/);
  const parallelism = { strategy: 'Tensor', tensorSize: 3 } as const;
  const never = renderPlan(plan(input(profile(4), [node('a')], { parallelism })));
  assert.match(never, /^No plan: IndivisibleHeads \(the deployment must change\)\n/);
});

test('predictions stand in the second line and in the table', async () => {
  const { plans } = await planFiles(['examples/fleets/four-mac-minis']);
  const nemotron = plans.find(({ name }) => name === 'nemotron-70b');
  assert.ok(nemotron?.result.ok);
  const { predicted } = nemotron.result.plan;
  assert.ok(predicted);
  const [title, , , options] = sections(renderPlan(nemotron.result));
  assert.match(
    title ?? '',
    /\nPredicted: [\d.]+ tokens\/s for one request \([\d.]+ to [\d.]+\), .* first token after [\d.]+ s \(prompt of 512\), \d+ W/,
  );
  const chosen = options?.split('\n').find((line) => line.endsWith('Chosen'));
  assert.ok(chosen?.includes(`${predicted.allReduceMicroseconds} µs`), chosen);
  assert.ok(chosen?.includes(` ${predicted.decodeTokensPerSecond.toFixed(1)} `), chosen);
});

test('ranks on declared Macs have the threads of their chip', async () => {
  const { plans } = await planFiles(['examples/fleets/four-mac-minis']);
  const threads = plans.flatMap(({ result }) =>
    result.ok ? result.plan.ranks.map((rank) => rank.threads) : [],
  );
  assert.deepEqual([...new Set(threads)], [12]);
});

test('of several groups each has a line', () => {
  const one = plan(input(profile(4), [node('a')]));
  const two = plan(input(profile(60), [node('b', { memoryBytes: 8 * GiB })]));
  const text = renderPlan(one, [one, two]);
  assert.match(text, /\nGROUP +PLAN .*\n0 +Single +BuiltIn +a .*\n1 +InsufficientMemory +- /);
  assert.doesNotMatch(renderPlan(one, [one]), /GROUP/);
});
