import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { deploymentYaml, Fleet, nodeYaml } from './fleet.ts';

const names = ['mini-1', 'mini-2'];
const tokens = 200;
let fleet: Fleet;

const yaml = (contextLength: number, more: Record<string, unknown> = {}) =>
  deploymentYaml('sprout', {
    replicas: 2,
    runtime: { contextLength, maxConcurrentRequests: 2 },
    parallelism: { strategy: 'Single' },
    strategy: { type: 'RollingUpdate' },
    progressDeadlineSeconds: 600,
    minReadySeconds: 1,
    ...more,
  });

before(async () => {
  fleet = await Fleet.create();
  fleet.write('nodes.yaml', names.map((name) => nodeYaml(name)).join('---\n'));
  fleet.write('sprout.yaml', yaml(512));
  fleet.startControlPlane();
  for (const name of names) fleet.startNode(name);
  await fleet.ready('sprout');
});

after(async () => fleet.stop());

/** Asks for long answers, two at a time, until told to end; the number of tokens of each, or why there are none. */
const askUntil = (isOver: () => boolean): Promise<unknown[]> => {
  const ask = async (): Promise<unknown[]> => {
    const seen: unknown[] = [];
    while (!isOver()) {
      const response = await fleet.complete('sprout', { max_tokens: tokens });
      const answer = (await response.json()) as {
        error?: unknown;
        choices?: { finish_reason: string }[];
      };
      seen.push(answer.choices?.[0]?.finish_reason ?? answer.error ?? answer);
    }
    return seen;
  };
  return Promise.all([ask(), ask()]).then((all) => all.flat());
};

test('a rolling update over real processes cuts off no request', async () => {
  const before = fleet.deployment('sprout')?.status.currentRevision;
  let isOver = false;
  const asked = askUntil(() => isOver);
  fleet.write('sprout.yaml', yaml(384));
  const { status } = await fleet.ready(
    'sprout',
    ({ status: now }) => now.currentRevision !== before,
  );
  isOver = true;
  const answers = await asked;
  assert.ok(answers.length > 4, `${answers.length} answers`);
  const cut = answers.filter((reason) => reason !== 'stop' && reason !== 'length');
  assert.deepEqual(cut, []);
  assert.deepEqual(
    status.groups.map(({ contextLength }) => contextLength),
    [384, 384],
  );
});

test('going back is recognised, and its groups that still ran were not restarted', async () => {
  const before = fleet.deployment('sprout')!.status;
  fleet.write('sprout.yaml', yaml(320));
  await eventually(
    'one group gave way',
    () => fleet.deployment('sprout')?.status.groups.some(({ state }) => state !== 'Ready') ?? false,
  );
  fleet.write('sprout.yaml', yaml(384));
  const { status } = await fleet.ready(
    'sprout',
    ({ status: now, metadata }) =>
      now.observedGeneration === metadata.generation &&
      now.updateRevision === before.currentRevision,
  );
  assert.equal(status.currentRevision, before.currentRevision);
  assert.equal(status.groups[0]?.incarnation, before.groups[0]?.incarnation);
});
