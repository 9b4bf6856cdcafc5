import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { GroupStatus } from '../../src/resources/types.ts';
import { eventually } from '../support/eventually.ts';
import { deploymentYaml, Fleet, nodeYaml } from './fleet.ts';

/** Longer than any step of the test; answers end when the test says so, not before. */
const patientMs = 180_000;
let fleet: Fleet;

const yaml = (contextLength: number, drainTimeoutSeconds: number): string =>
  deploymentYaml('sprout', {
    replicas: 2,
    runtime: { contextLength, maxConcurrentRequests: 2 },
    parallelism: { strategy: 'Single' },
    strategy: { type: 'RollingUpdate' },
    drainTimeoutSeconds,
  });

before(async () => {
  fleet = await Fleet.create();
  fleet.write('nodes.yaml', ['mini-1', 'mini-2'].map((name) => nodeYaml(name)).join('---\n'));
  fleet.write('sprout.yaml', yaml(512, 3600));
  fleet.startControlPlane();
  for (const name of ['mini-1', 'mini-2']) fleet.startTestNode(name);
  await fleet.ready('sprout', () => true, patientMs);
});

after(async () => fleet.stop());

interface Answer {
  /** Which process answers. */
  rank: string;
  /** All of it, once it is over. */
  rest: Promise<string>;
}

/** Asks through the router; resolves when the answer has begun. */
const ask = async (): Promise<Answer> => {
  const response = await fetch(`${fleet.routerUrl}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'sprout', prompt: 'Once', stream: true }),
    signal: AbortSignal.timeout(patientMs),
  });
  assert.equal(response.status, 200);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes('"}')) text += (await reader.read()).value ?? assert.fail('no answer');
  const readOn = async (): Promise<string> => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return text;
      text += value;
    }
  };
  return { rank: /"rank":"(\d+)"/.exec(text)?.[1] ?? '', rest: readOn() };
};

const groups = (): GroupStatus[] => fleet.deployment('sprout')?.status.groups ?? [];

const groupOf = async ({ rank }: Answer): Promise<GroupStatus> => {
  const ranks = await fleet.ranks();
  const found = ranks.find((each) => each.rank.pid === Number(rank));
  const index = Number(found?.rank.id.split('/')[2]);
  return groups().find((group) => group.index === index) ?? assert.fail(`no group of ${rank}`);
};

const finish = async ({ endpoint = '' }: GroupStatus): Promise<unknown> =>
  fetch(`${endpoint}/finish`, { method: 'POST', signal: AbortSignal.timeout(patientMs) });

const rolledTo = async (contextLength: number): Promise<unknown> =>
  fleet.ready(
    'sprout',
    ({ status }) => status.groups.every((group) => group.contextLength === contextLength),
    patientMs,
  );

/** The rollout has come to the group that answers, and to every other one. */
const onlyLeft = async (index: number, contextLength: number): Promise<unknown> =>
  eventually(
    'the other group is new and serves, this one drains',
    () =>
      groups().every((group) =>
        group.index === index
          ? group.state === 'Draining'
          : group.state === 'Ready' && group.contextLength === contextLength,
      ),
    { timeoutMs: patientMs },
  );

test('an answer that goes on and on is not cut by a rolling update, which waits for its end', async () => {
  const answer = await ask();
  const busy = await groupOf(answer);
  fleet.write('sprout.yaml', yaml(384, 3600));
  await onlyLeft(busy.index, 384);

  const another = await ask();
  const fresh = await groupOf(another);
  assert.notEqual(fresh.index, busy.index, 'a group that drains gets nothing new');
  await finish(fresh);
  assert.match(await another.rest, /\[DONE\]/);

  assert.equal(groups()[busy.index]?.state, 'Draining');
  await finish(busy);
  assert.match(await answer.rest, /\[DONE\]/);
  await rolledTo(384);
});

test('without time to drain the same answer is cut', async () => {
  const answer = await ask();
  fleet.write('sprout.yaml', yaml(320, 0));
  const end = await answer.rest.catch(String);
  assert.doesNotMatch(end, /\[DONE\]/);
  await rolledTo(320);
});
