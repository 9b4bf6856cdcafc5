import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Backend } from '../../../src/cli/backend/backend.ts';
import { planLive } from '../../../src/cli/fleet/live-plan.ts';
import { victimsText } from '../../../src/cli/fleet/live-room.ts';
import type { ModelDeploymentSpec } from '../../../src/resources/types.ts';
import { clusterNode, deployment, group } from '../objects.ts';

const GiB = 2 ** 30;

/** Room for one Llama of 37 GiB. */
const mini = clusterNode('mini-1', {
  spec: { hardware: { model: 'Mac16,11', memory: '64Gi' } },
});

/** Holds most of it. */
const chat = (priority: number) => {
  const placed = group('Ready', { 'mini-1': 'Ready' });
  const [member] = placed.members;
  const members = [{ ...member!, memoryBytes: 41 * GiB }];
  return deployment('chat', { spec: { priority }, status: { groups: [{ ...placed, members }] } });
};

const planBeside = async (
  running: ReturnType<typeof chat>,
  { priority, preemptionPolicy }: Pick<ModelDeploymentSpec, 'priority' | 'preemptionPolicy'>,
) => {
  const asking = deployment('llama', {
    spec: {
      model: { uri: 'file://./examples/models/llama-3.1-70b-4bit' },
      parallelism: { strategy: 'Single' },
      priority,
      preemptionPolicy,
    },
  });
  const backend: Pick<Backend, 'deployments' | 'nodes' | 'reports'> = {
    deployments: async () => [running, asking],
    nodes: async () => [mini],
    reports: async () => undefined,
  };
  const { result, victims } = await planLive(backend as Backend, asking, {});
  return { result, message: result.ok ? '' : result.message, victims: victimsText(victims) };
};

test('a live plan says who would have to leave for it', async () => {
  const preemptionPolicy = 'PreemptLowerPriority';
  const { result, victims } = await planBeside(chat(0), { priority: 10, preemptionPolicy });
  assert.ok(result.ok);
  assert.ok(result.options.length > 0);
  assert.equal(victims, 'default/chat group 0 (priority 0) on mini-1');
});

test('where it may not preempt, the refusal says who holds the room and what would help', async () => {
  const { message, victims } = await planBeside(chat(0), {
    priority: 10,
    preemptionPolicy: 'Never',
  });
  assert.match(message, /41\.0 GiB held by default\/chat \(priority 0\)/);
  assert.match(
    message,
    /; spec.preemptionPolicy: PreemptLowerPriority would let it take the place of default\/chat group 0 \(priority 0\) on mini-1$/,
  );
  assert.equal(victims, '');
});

test('room that is kept for a higher priority is nobody else’s', async () => {
  const room = [{ nodeName: 'mini-1', memoryBytes: 41 * GiB }];
  const waiting = { ...group('Waiting', {}), preemption: { room, awaits: [] } };
  const urgent = deployment('urgent', {
    spec: { priority: 20, preemptionPolicy: 'PreemptLowerPriority' },
    status: { groups: [waiting] },
  });
  const { message } = await planBeside(urgent, { priority: 10, preemptionPolicy: 'Never' });
  assert.match(message, /41\.0 GiB held by default\/urgent \(priority 20\)/);
  const { result } = await planBeside(urgent, { priority: 30, preemptionPolicy: 'Never' });
  assert.ok(result.ok);
});

test('nothing is said of what would not help', async () => {
  for (const preemptionPolicy of ['Never', 'PreemptLowerPriority'] as const) {
    const equal = await planBeside(chat(10), { priority: 10, preemptionPolicy });
    assert.match(equal.message, /held by default\/chat \(priority 10\)/);
    assert.doesNotMatch(equal.message, /preemptionPolicy/);
    assert.equal(equal.victims, '');
  }
  const plain = await planBeside(chat(0), { priority: 0, preemptionPolicy: 'Never' });
  assert.match(plain.message, /held by default\/chat\)/);
});
