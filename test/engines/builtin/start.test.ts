/** What happens before a group serves: what is on disk, ranks that never meet, ranks that differ. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';

import { eventually } from '../../support/eventually.ts';
import { assignmentOf, engine, sproutWith, startRank } from './group.ts';
import type { TestRank } from './group.ts';

const pair = { tensorSize: 2 };

let directory: string;
let ranks: TestRank[] = [];
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'espalier-start-'));
});
after(async () => {
  for (const { process } of ranks) process.kill('SIGKILL');
  await Promise.all(ranks.map(async ({ exit }) => exit));
  await rm(directory, { recursive: true, force: true });
});

const start = async (assignment: Parameters<typeof startRank>[1]): Promise<TestRank> => {
  const rank = await startRank(await mkdtemp(join(directory, 'run-')), assignment);
  ranks = [...ranks, rank];
  return rank;
};

const startFirst = async (): Promise<{ rank: TestRank; address: string }> => {
  const rank = await start(assignmentOf(pair, 0));
  const address = await eventually(
    'rank 0 says where it waits',
    async () => (await rank.status())?.rendezvousAddress,
  );
  return { rank, address };
};

test('the secret is in a file that only its owner can read, and nowhere else', async () => {
  const runDirectory = join(directory, 'secret');
  const assignment = assignmentOf({}, 0);
  const command = await engine.command(assignment, runDirectory);
  const file = join(runDirectory, 'assignment.json');
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  const { secret } = assignment.rendezvous;
  assert.ok((await readFile(file, 'utf8')).includes(secret));
  assert.ok(!JSON.stringify(command).includes(secret));
  assert.equal(await engine.readStatus(runDirectory), undefined);
});

test('a rank that waits for the others leaves at once when told to', async () => {
  const { rank } = await startFirst();
  assert.equal((await rank.status())!.phase, 'Rendezvous');
  rank.process.kill('SIGTERM');
  assert.deepEqual(await rank.exit, { exitCode: 0, signal: null });
});

test('a rank with another secret is refused, and the others go on waiting', async () => {
  const { rank, address } = await startFirst();
  const assignment = assignmentOf(pair, 1, address);
  const intruder = await start({
    ...assignment,
    rendezvous: { ...assignment.rendezvous, secret: 'another' },
  });
  assert.equal((await intruder.exit).exitCode, 78);
  assert.equal((await intruder.status())!.error!.code, 'WrongSecret');
  assert.equal((await rank.status())!.phase, 'Rendezvous');
  const second = await start(assignment);
  await Promise.all([rank.reaches('Serving'), second.reaches('Serving')]);
});

test('a rank that cannot load its weights ends the group, and both say why', async () => {
  const { rank, address } = await startFirst();
  const modelFolder = await sproutWith(directory, { 'model.safetensors': undefined });
  const broken = await start(assignmentOf({ ...pair, modelFolder }, 1, address));
  assert.equal((await broken.exit).exitCode, 78);
  const own = (await broken.status())!.error!;
  assert.ok(own.terminal);
  assert.ok(own.file!.startsWith(modelFolder));

  assert.equal((await rank.exit).exitCode, 70);
  const { code, guiltyRank, message, terminal } = (await rank.status())!.error!;
  assert.deepEqual(
    { code, guiltyRank, terminal },
    { code: 'GroupAborted', guiltyRank: 1, terminal: false },
  );
  assert.match(message, new RegExp(own.code));
});
