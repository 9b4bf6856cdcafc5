import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { createMetrics } from '../../src/base/metrics.ts';
import { tallyBetween } from '../../src/controller/metrics/changes.ts';
import type { ModelDeploymentStatus } from '../../src/resources/types.ts';
import { spec } from '../planner/builders.ts';
import { harness } from './harness.ts';

const group = (incarnation: number, restarts: number): ModelDeploymentStatus['groups'][number] => ({
  index: 0,
  revision: 'r-1',
  state: 'Starting',
  incarnation,
  restarts,
  members: [],
});

const status = (overrides: Partial<ModelDeploymentStatus>): ModelDeploymentStatus => ({
  observedGeneration: 1,
  conditions: [],
  replicas: 0,
  readyReplicas: 0,
  updatedReplicas: 0,
  availableReplicas: 0,
  selector: '',
  groups: [],
  ...overrides,
});

const writes = (text: string) => text.match(/^espalier_status_writes_total.*/gm);

test('the first start of a group is no restart, the next one is', () => {
  const created = status({ groups: [group(0, 0)] });
  const started = status({ groups: [group(1, 0)] });
  const failed = status({ groups: [group(1, 1)] });
  const again = status({ groups: [group(2, 1)] });
  assert.equal(tallyBetween(created, started).groupRestarts, 0);
  assert.equal(tallyBetween(started, failed).groupFailures, 1);
  assert.equal(tallyBetween(failed, again).groupRestarts, 1);
  assert.equal(tallyBetween(failed, again).groupFailures, 0);
});

test('a group that leaves for a deployment of higher priority is counted once, and as no failure', () => {
  const serves = status({ groups: [{ ...group(1, 0), state: 'Ready' }] });
  const stops = status({ groups: [{ ...group(1, 0), state: 'Stopping', reason: 'Preempted' }] });
  const waits = status({ groups: [{ ...group(1, 0), state: 'Waiting', reason: 'Preempted' }] });
  assert.equal(tallyBetween(serves, stops).groupPreemptions, 1);
  assert.equal(tallyBetween(stops, waits).groupPreemptions, 0);
  assert.equal(tallyBetween(serves, stops).groupFailures, 0);
});

test('an unchanged status counts nothing', () => {
  const same = status({ updateRevision: 'r-1', currentRevision: 'r-1', groups: [group(3, 2)] });
  assert.deepEqual(new Set(Object.values(tallyBetween(same, same))), new Set([0]));
});

test('a control plane counts plans, rollouts, groups, nodes and writes, and nothing more once it is quiet', async () => {
  const world = harness(['mac-1', 'mac-2']);
  const metrics = createMetrics();
  await world.startControlPlane({ metrics });
  world.state.applyDeployment('sprout', spec({ parallelism: { strategy: 'Single' } }));
  await world.runUntil('it is ready', () => world.isReady('sprout'));
  await world.run(60);
  const quiet = await metrics.text();
  const expected = [
    'espalier_groups{state="Ready"} 1',
    'espalier_nodes{presence="Present"} 2',
    'espalier_nodes{presence="Lost"} 0',
    'espalier_rollouts_started_total{namespace="default",name="sprout"} 1',
    'espalier_rollouts_finished_total{namespace="default",name="sprout"} 1',
    'espalier_group_restarts_total{namespace="default",name="sprout"} 0',
    'espalier_deployment_condition{condition="Ready",namespace="default",name="sprout"} 1',
    'espalier_deployment_replicas{count="Desired",namespace="default",name="sprout"} 1',
    'workqueue_depth{name="espalier"} 0',
  ];
  for (const line of expected) assert.ok(quiet.includes(`\n${line}\n`), `${line}\n${quiet}`);
  assert.match(quiet, /espalier_plans_total\{reason="PlanFound"\} [1-9]/);
  await world.run(60);
  assert.deepEqual(writes(await metrics.text()), writes(quiet));
});

test('no group secret and no key gets into a log line, a metric, a status or an event', async () => {
  const lines: string[] = [];
  const logger = pino({ level: 'trace' }, { write: (line: string) => lines.push(line) });
  const world = harness(['mac-1', 'mac-2']);
  const metrics = createMetrics();
  world.state.applyDeployment('m', spec({ parallelism: { strategy: 'Tensor', tensorSize: 2 } }));
  await world.startControlPlane({ metrics, logger });
  await world.runUntil('it is ready', () => world.isReady('m'));
  const secrets = world.fleet
    .documents()
    .flatMap(({ ranks }) => ranks.map(({ rendezvous }) => rendezvous.secret));
  assert.equal(secrets.length, 2);
  const key = world.state.open().groupSecretKey();
  const told = [
    ...lines,
    await metrics.text(),
    JSON.stringify([world.state.deployments(), world.state.nodes(), world.state.events()]),
  ].join('\n');
  assert.ok(lines.length > 0);
  assert.match(told, /"reconcileId":"[0-9a-f-]{36}"/);
  for (const secret of [...secrets, key.toString('hex'), key.toString('base64')]) {
    assert.ok(!told.includes(secret));
  }
});
