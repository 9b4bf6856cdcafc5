import assert from 'node:assert/strict';
import { closeSync, fstatSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { eventually } from '../support/eventually.ts';
import { deploymentYaml, Fleet, isRunning, nodeYaml, stateOf } from './fleet.ts';

let fleet: Fleet;

before(async () => {
  fleet = await Fleet.create();
  fleet.write(
    'nodes.yaml',
    ['mini-1', 'mini-2', 'mini-3'].map((name) => nodeYaml(name)).join('---\n'),
  );
  fleet.write('sprout.yaml', deploymentYaml('sprout'));
  fleet.startControlPlane();
  for (const name of ['mini-1', 'mini-2', 'mini-3']) fleet.startNode(name);
  await fleet.ready('sprout');
});

after(async () => fleet.stop());

test('the official client gets completions, chats and streams', async () => {
  const client = new OpenAI({ baseURL: `${fleet.routerUrl}/v1`, apiKey: 'none', maxRetries: 0 });
  const models = await client.models.list();
  assert.deepEqual(
    models.data.map(({ id }) => id),
    ['sprout'],
  );
  const completion = await client.completions.create({
    model: 'sprout',
    prompt: 'Once upon a time',
    max_tokens: 8,
    temperature: 0,
  });
  assert.equal(completion.usage?.completion_tokens, 8);
  const stream = await client.chat.completions.create({
    model: 'sprout',
    messages: [{ role: 'user', content: 'Once upon a time' }],
    max_tokens: 8,
    stream: true,
  });
  let chunks = 0;
  for await (const chunk of stream) chunks += chunk.choices[0]?.delta.content ? 1 : 0;
  assert.ok(chunks > 1);
});

test('a prompt that is too long, a broken body and an unknown model are refused and the ranks stay', async () => {
  const pids = await fleet.pids();
  const tooLong = await fleet.complete('sprout', { prompt: 'word '.repeat(2000) });
  assert.equal(tooLong.status, 400);
  assert.match(await tooLong.text(), /context_length_exceeded/);
  assert.equal((await fleet.complete('nobody')).status, 404);
  const broken = await fetch(`${fleet.routerUrl}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"model": "sprout", ',
  });
  assert.equal(broken.status, 400);
  assert.equal((await fleet.complete('sprout')).status, 200);
  assert.deepEqual(await fleet.pids(), pids);
});

test('get, describe, events and logs show what runs', async () => {
  const wide = await fleet.espalier('get', 'mdep', '-o', 'wide');
  assert.match(wide, /^sprout .*True.*1.*AllRanksAnswered +every rank of 1 group answered/m);
  assert.match(await fleet.espalier('get', 'cnode'), /^mini-3 .*True/m);
  const described = await fleet.espalier('describe', 'mdep/sprout');
  assert.match(described, /tensorSize: 2/);
  assert.match(described, /Ready +True/);
  assert.match(
    await fleet.espalier('events', '--for', 'mdep/sprout'),
    /mdep|ModelDeployment\/sprout/,
  );
  assert.match(await fleet.espalier('logs', 'sprout', '--rank', '1'), /sprout\/0\/\d+\/1.*Serving/);
});

for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
  test(`after ${signal} of a rank the group starts again and no request hangs`, async () => {
    const before = await fleet.ready('sprout');
    const [, victim] = await fleet.pids();
    process.kill(victim!, signal);
    const statuses = new Set<number>();
    await eventually(
      'a new incarnation that answers',
      async () => {
        const response = await fleet.complete('sprout');
        await response.text();
        statuses.add(response.status);
        if (response.status === 503) assert.ok(response.headers.get('retry-after'));
        const group = fleet.deployment('sprout')?.status.groups[0];
        return (
          response.status === 200 && group?.incarnation !== before.status.groups[0]?.incarnation
        );
      },
      { timeoutMs: 180_000 },
    );
    assert.ok(
      [...statuses].every((status) => [200, 500, 502, 503].includes(status)),
      [...statuses].join(),
    );
    await eventually(`process ${victim} gone`, () => !isRunning(victim!));
    await fleet.ready('sprout');
  });
}

test('a control plane that is killed and started again touches no rank', async () => {
  await fleet.ready('sprout');
  const pids = await fleet.pids();
  await fleet.kill('control-plane');
  fleet.startControlPlane();
  await eventually('answers again', async () => (await fleet.complete('sprout')).status === 200);
  await fleet.runs(pids);
  await fleet.ready('sprout');
});

test('a daemon that is killed and started again adopts its rank untouched', async () => {
  await fleet.ready('sprout');
  const pids = await fleet.pids();
  const nodeName = fleet.deployment('sprout')!.status.groups[0]!.members[0]!.nodeName;
  await fleet.kill(nodeName);
  assert.equal((await fleet.complete('sprout')).status, 200);
  fleet.startNode(nodeName);
  await eventually('adoption reported', () => fleet.log(nodeName).includes('adopt'));
  await fleet.ready('sprout');
  assert.equal((await fleet.complete('sprout')).status, 200);
  await fleet.runs(pids);
});

test('a spec that breaks keeps the last good one serving and says where it is wrong', async () => {
  const pids = await fleet.pids();
  fleet.write('sprout.yaml', deploymentYaml('sprout').replace('"runtime"', '"runtimes"'));
  const degraded = await eventually('Degraded', () => {
    const condition = fleet.condition('sprout', 'Degraded');
    return condition?.status === 'True' && condition;
  });
  assert.equal(degraded.reason, 'InvalidSpec');
  assert.match(degraded.message, /sprout\.yaml:\d+.*runtimes/);
  assert.equal((await fleet.complete('sprout')).status, 200);
  fleet.write('sprout.yaml', deploymentYaml('sprout'));
  await eventually('Degraded gone', () => fleet.condition('sprout', 'Degraded')?.status !== 'True');
  assert.deepEqual(await fleet.pids(), pids);
});

test('an edit rolls out a new revision, and its revert finds the old one', async () => {
  const first = (await fleet.ready('sprout')).status.currentRevision;
  fleet.write(
    'sprout.yaml',
    deploymentYaml('sprout', { runtime: { contextLength: 128, maxConcurrentRequests: 1 } }),
  );
  const edited = await fleet.ready('sprout', ({ status }) => status.currentRevision !== first);
  assert.notEqual(edited.status.currentRevision, first);
  fleet.write('sprout.yaml', deploymentYaml('sprout'));
  await fleet.ready('sprout', ({ status }) => status.currentRevision === first);
});

test('a node that is lost with its rank leads to a new plan on the nodes that are left', async () => {
  await fleet.ready('sprout');
  const [lost] = (await fleet.ranks()).filter(({ rank }) => rank.rank === 1);
  const nodeName = lost!.report.nodeName;
  await fleet.kill(nodeName);
  process.kill(lost!.rank.pid!, 'SIGKILL');
  const replanned = await fleet.ready('sprout', ({ status }) =>
    status.groups[0]!.members.every((member) => member.nodeName !== nodeName),
  );
  assert.equal(replanned.status.groups[0]!.members.length, 2);
  assert.equal((await fleet.complete('sprout')).status, 200);
  fleet.startNode(nodeName);
  await eventually('the node is Ready again', () =>
    fleet
      .node(nodeName)
      ?.status.conditions.some(({ type, status }) => type === 'Ready' && status === 'True'),
  );
});

test('no prompt and no secret is in any log, status, event or document of the control plane', async () => {
  const prompt = 'the walrus and the carpenter';
  assert.equal((await fleet.complete('sprout', { prompt })).status, 200);
  const key = readFileSync(join(fleet.stateDirectory, 'group-secret')).toString('hex');
  for (const name of readdirSync(fleet.folder, { recursive: true, encoding: 'utf8' })) {
    const path = join(fleet.folder, name);
    const file = /\.(log|json|jsonl)$/.test(name) && readIfThere(path);
    if (!file) continue;
    assert.ok(!file.text.includes(prompt) && !file.text.includes(key), path);
    const isOwnersOnly = (file.mode & 0o077) === 0;
    assert.ok(isOwnersOnly || !/"secret":\s*"[0-9a-f]{64}"/.test(file.text), path);
  }
});

/** Daemons clear the folders of ended ranks while the test reads: what is gone leaks nothing. */
function readIfThere(path: string): { text: string; mode: number } | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { mode } = fstatSync(descriptor);
    return { text: readFileSync(descriptor, 'utf8'), mode };
  } finally {
    closeSync(descriptor);
  }
}

test('deleting the file stops every rank and forgets the deployment', async () => {
  const pids = await fleet.pids();
  fleet.remove('sprout.yaml');
  await eventually('deployment gone', () => fleet.deployment('sprout') === undefined);
  assert.deepEqual(pids.filter(isRunning).map(stateOf), []);
  await eventually('404', async () => (await fleet.complete('sprout')).status === 404);
});
