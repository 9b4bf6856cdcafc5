import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PhaseDeadlines } from '../../src/nodedoc/types.ts';
import { daemonFixture, processesUnder } from '../support/daemon-fixture.ts';
import { assignment } from '../support/node-documents.ts';

const cases: {
  phase: string;
  args: string[];
  deadlines: Partial<PhaseDeadlines>;
  code: string;
  message: RegExp;
}[] = [
  {
    phase: 'weights that are never checked',
    args: ['stage-hangs'],
    deadlines: { stageMs: 150 },
    code: 'StageDeadlineExceeded',
    message: /weights of file:\/\/\/models\/sprout were not checked within 0\.15 s/,
  },
  {
    phase: 'a group that never meets',
    args: ['--stay-at', 'Rendezvous'],
    deadlines: { rendezvousMs: 800 },
    code: 'RendezvousDeadlineExceeded',
    message: /did not meet within 0\.8 s/,
  },
  {
    phase: 'weights that are never loaded',
    args: ['--stay-at', 'Loading'],
    deadlines: { loadMs: 300 },
    code: 'LoadDeadlineExceeded',
    message: /not loaded within 0\.3 s/,
  },
];

for (const { phase, args, deadlines, code, message } of cases) {
  test(`${phase}: Failed with ${code}, and the process is gone`, async (t) => {
    const { newDaemon, publish, rankIn, dataDirectory } = await daemonFixture(t);
    publish([assignment({ engine: { args }, deadlines })]);
    await newDaemon().start();
    const { error } = await rankIn('Failed');
    assert.equal(error?.code, code);
    assert.match(error.message, message);
    assert.equal(error.terminal, false);
    assert.deepEqual(await processesUnder(dataDirectory), []);
  });
}

test('a rank that waits for an address that never comes fails', async (t) => {
  const { newDaemon, publish, rankIn } = await daemonFixture(t);
  // Staging must be over within the first; the address is waited for as long as both.
  const deadlines = { stageMs: 3_000, rendezvousMs: 100 };
  publish([assignment({ rank: 1, worldSize: 2, deadlines })]);
  await newDaemon().start();
  assert.equal((await rankIn('Failed')).error?.code, 'RendezvousDeadlineExceeded');
});

test('a model that is wrong and an engine that is absent are terminal', async (t) => {
  const { newDaemon, publish, rankIn, report } = await daemonFixture(t);
  const absent = assignment({ deployment: 'absent', engine: { name: 'MLX' } });
  publish([assignment({ engine: { args: ['stage-fails'] } }), absent]);
  await newDaemon().start();
  assert.deepEqual((await rankIn('Failed', 'default/sprout/0/1/0')).error, {
    code: 'EngineUnavailable',
    message: 'no such model',
    terminal: true,
    file: '/models/none',
  });
  assert.deepEqual((await rankIn('Failed', absent.id)).error, {
    code: 'EngineUnavailable',
    message: 'this node has no engine "MLX": install it, or let the deployment use another one',
    terminal: true,
  });
  assert.equal(report()?.cachedModels[0]?.state, 'Invalid');
});
