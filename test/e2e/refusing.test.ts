import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, rmSync, truncateSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { fetchReports } from '../../src/cli/reports.ts';
import { fileURLToPath } from 'node:url';
import { eventually } from '../support/eventually.ts';
import { deploymentYaml, Fleet, nodeYaml } from './fleet.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
const main = join(root, 'src/cli/main.ts');
const sprout = join(root, 'examples/models/sprout');

let fleet: Fleet;

before(async () => {
  fleet = await Fleet.create();
  fleet.write('nodes.yaml', [nodeYaml('mini-1'), nodeYaml('mini-2')].join('---\n'));
  fleet.startControlPlane();
  fleet.startNode('mini-1');
  fleet.startNode('mini-2');
});

after(async () => fleet.stop());

const badFolders = [
  {
    what: 'a model folder that is not there',
    spoil: (folder: string) => rmSync(folder, { recursive: true }),
    names: /bad-0/,
  },
  {
    what: 'truncated weights',
    spoil: (folder: string) => truncateSync(join(folder, 'model.safetensors'), 100_000),
    names: /model\.safetensors/,
  },
  {
    what: 'a missing tokenizer',
    spoil: (folder: string) => rmSync(join(folder, 'tokenizer.json')),
    names: /tokenizer\.json/,
  },
];

for (const [index, { what, spoil, names }] of badFolders.entries()) {
  test(`${what}: Stalled with the file named, and nothing is started`, async () => {
    const name = `bad-${index}`;
    const folder = join(fleet.folder, name);
    cpSync(sprout, folder, { recursive: true });
    spoil(folder);
    fleet.write(
      `${name}.yaml`,
      deploymentYaml(name, { model: { uri: `file://${folder}`, servedNames: [name] } }),
    );
    const stalled = await eventually(`${name} Stalled`, () => {
      const condition = fleet.condition(name, 'Stalled');
      return condition?.status === 'True' && condition;
    });
    assert.match(stalled.message, names);
    assert.ok(fleet.deployment(name)!.status.groups.every(({ incarnation }) => incarnation <= 1));
    const response = await fleet.complete(name);
    assert.equal(response.status, 503);
    assert.ok(response.headers.get('retry-after'));
    fleet.remove(`${name}.yaml`);
    await eventually(`${name} gone`, () => fleet.deployment(name) === undefined);
  });
}

test('of two deployments that do not fit together one runs, the other waits with numbers and then starts', async () => {
  const total = await eventually('reports', async () =>
    (await fetchReports(fleet.hubUrl)).map(({ report }) => report.host.memoryBytes).at(0),
  );
  // Leaves room for one group of sprout on each host, not for two.
  const reservedMemory = String(total - 400 * 2 ** 20);
  fleet.write(
    'nodes.yaml',
    [nodeYaml('mini-1', { reservedMemory }), nodeYaml('mini-2', { reservedMemory })].join('---\n'),
  );
  fleet.write('a.yaml', deploymentYaml('first'));
  await fleet.ready('first');
  fleet.write('b.yaml', deploymentYaml('second'));
  const planned = await eventually('second waits', () => {
    const condition = fleet.condition('second', 'Planned');
    return condition?.status === 'False' && condition;
  });
  assert.match(planned.message, /\d+(\.\d+)? [KMG]iB/);
  assert.equal((await fleet.complete('first')).status, 200);
  assert.equal((await fleet.complete('second')).status, 503);
  fleet.remove('a.yaml');
  await fleet.ready('second');
  assert.equal((await fleet.complete('second')).status, 200);
});

test('what is not available yet is refused by name', async () => {
  fleet.write(
    'c.yaml',
    deploymentYaml('remote', { model: { uri: 'hf://org/model', servedNames: ['remote'] } }),
  );
  const stalled = await eventually('Stalled', () => {
    const condition = fleet.condition('remote', 'Stalled');
    return condition?.status === 'True' && condition;
  });
  assert.match(stalled.message, /spec\.model\.uri.*file:/);
  fleet.remove('c.yaml');
});

test('a taken port is named, and the hub binds to nothing but loopback', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await eventually('listening', () => server.listening);
  const { port } = server.address() as { port: number };
  const state = join(fleet.folder, 'other-state');
  const up = async (...args: string[]) =>
    run(
      process.execPath,
      [main, 'up', '-d', join(fleet.folder, 'yaml'), '--state-dir', state, ...args],
      { timeout: 90_000, killSignal: 'SIGKILL' },
    );
  await assert.rejects(up('--hub-port', '0', '--router-port', String(port)), {
    code: 1,
    stderr: new RegExp(`127\\.0\\.0\\.1:${port}`),
  });
  await assert.rejects(up('--hub-port', String(port)), {
    code: 1,
    stderr: new RegExp(`127\\.0\\.0\\.1:${port}`),
  });
  await assert.rejects(up('--hub-host', '0.0.0.0', '--hub-port', '0'), {
    code: 1,
    stderr: /HubNotLoopback/,
  });
  server.close();
});

test('a second control plane over the same state is refused and names the first', async () => {
  await assert.rejects(
    run(
      process.execPath,
      [
        main,
        'up',
        '-d',
        join(fleet.folder, 'yaml'),
        '--state-dir',
        fleet.stateDirectory,
        '--hub-port',
        '0',
        '--router-port',
        '0',
      ],
      { timeout: 90_000, killSignal: 'SIGKILL' },
    ),
    { code: 1, stderr: /pid \d+.*StateLocked/ },
  );
});
