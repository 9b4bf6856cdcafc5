import assert from 'node:assert/strict';
import { it } from 'node:test';
import { plan } from '../../src/planner/plan.ts';
import { renderPlan } from '../../src/planner/render.ts';
import { GiB, input, node, profile } from './builders.ts';

it('shows the winner rank by rank, and what lost with its numbers', () => {
  const nodes = [node('mini-1'), node('mini-2'), node('old', { available: false })];
  const text = renderPlan(plan(input(profile(60), nodes)));
  assert.match(text, /^Plan: Tensor 2 over TCP, engine BuiltIn\n/);
  assert.match(text, /\n0 +mini-1 +0-31 +12 +[\d.]+ GiB +2\.0 GiB +[\d.]+ MiB +[\d.]+ GiB\n/);
  assert.match(text, /\n1 +mini-2 +0-31 /);
  assert.match(
    text,
    /\nRejected:\nOPTION +REASON +WHY\nSingle on mini-1 +InsufficientMemory +needs/,
  );
  assert.match(text, /\nNode old +NodeLost +the node does not report\n$/);
});

it('says what was given up', () => {
  const parallelism = { strategy: 'Tensor', tensorSize: 2 } as const;
  const text = renderPlan(plan(input(profile(4), [node('a')], { parallelism })));
  assert.match(text, /^Plan: Single, engine BuiltIn, degraded by FewerNodes\n/);
});

it('shows why there is no plan', () => {
  const text = renderPlan(plan(input(profile(60), [node('a', { memoryBytes: 8 * GiB })])));
  assert.match(text, /^No plan: InsufficientMemory\n\nSingle on a: needs .* short by .* bytes\)\n/);
  const parallelism = { strategy: 'Tensor', tensorSize: 3 } as const;
  const never = renderPlan(plan(input(profile(4), [node('a')], { parallelism })));
  assert.match(never, /^No plan: IndivisibleHeads \(the deployment must change\)\n/);
});
