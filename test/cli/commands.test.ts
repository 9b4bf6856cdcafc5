import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { parse, stringify } from 'yaml';

const folder = mkdtempSync(join(tmpdir(), 'espalier-cli-'));
after(() => rmSync(folder, { recursive: true, force: true }));

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

const espalier = async (...args: string[]): Promise<Outcome> =>
  new Promise((resolve) => {
    const options = { timeout: 60_000, killSignal: 'SIGKILL' } as const;
    execFile(process.execPath, ['src/cli/main.ts', ...args], options, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    );
  });

test('every command has help with an example', async () => {
  const { stdout } = await espalier('--help');
  const names = [...stdout.matchAll(/^ {2}([a-z]+) (?:\[options\]|<)/gm)].map(([, name]) => name!);
  assert.ok(names.length >= 9, stdout);
  for (const name of names) {
    const help = await espalier(name, '--help');
    assert.equal(help.code, 0);
    assert.match(help.stdout, /Examples?:\n\s+espalier/, name);
  }
});

test('a reader that has enough of the output is no error', async () => {
  const child = spawn(
    process.execPath,
    ['src/cli/main.ts', 'plan', '-f', 'examples/fleets/mixed'],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  child.stdout.destroy();
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  assert.deepEqual([stderr, code], ['', 0]);
});

test('a catalogue file that is wrong is invalid input', async () => {
  const file = join(folder, 'wrong-catalogue.yaml');
  writeFileSync(file, 'chips: 5\n');
  const { code, stderr } = await espalier(
    ...['plan', '-f', 'examples/fleets/mixed', '--catalogue', file],
  );
  assert.equal(code, 3);
  assert.match(stderr, /wrong-catalogue\.yaml: chips: /);
});

test('the README shows a plan as it is printed', async () => {
  const readme = readFileSync('README.md', 'utf8');
  const [, fleet, shown] =
    /`npm run espalier -- (plan [^`]+)`:\n\n```text\n(.*?)```/s.exec(readme) ?? [];
  assert.ok(fleet !== undefined && shown !== undefined, 'the README has a plan');
  assert.equal((await espalier(...fleet.split(' '))).stdout, shown);
});

test('an unknown option, command or kind is a usage error', async () => {
  assert.equal((await espalier('get', '--colour', 'red')).code, 2);
  assert.equal((await espalier('gte')).code, 2);
  assert.equal((await espalier('get', 'pods')).code, 2);
  assert.equal((await espalier('up', '-d', '.', '--hub-port', '70000')).code, 2);
});

test('validate: 0 for good files, 3 with file, line and field for bad ones', async () => {
  assert.equal((await espalier('validate', '-f', 'examples/quickstart')).code, 0);
  const bad = await espalier('validate', '-f', 'examples/broken/unknown-field.yaml', '-o', 'json');
  assert.equal(bad.code, 3);
  const { problems } = JSON.parse(bad.stdout) as { problems: { file: string; line: number }[] };
  assert.equal(problems[0]?.file, 'examples/broken/unknown-field.yaml');
  assert.ok((problems[0]?.line ?? 0) > 1);
  assert.equal((await espalier('validate', '-f', join(folder, 'absent.yaml'))).code, 3);
});

const mini = (name: string) => ({
  kind: 'ClusterNode',
  metadata: { name },
  spec: { hardware: { model: 'Mac16,11', memory: '48Gi' } },
});

const model = (name: string, folderName: string, spec: object) => ({
  kind: 'ModelDeployment',
  metadata: { name },
  spec: { model: { uri: `file://./examples/models/${folderName}` }, ...spec },
});

/** Two minis that hold the large model, or the small one: not both. */
const crowded = (largePriority: number): string => {
  const file = join(folder, `crowded-${largePriority}.yaml`);
  const objects = [
    mini('mini-1'),
    mini('mini-2'),
    model('a-small', 'qwen2.5-coder-32b-4bit', { parallelism: { strategy: 'Single' } }),
    model('large', 'llama-3.1-70b-4bit', { priority: largePriority }),
  ];
  const apiVersion = 'espalier.dev/v1alpha1';
  writeFileSync(file, objects.map((each) => stringify({ apiVersion, ...each })).join('---\n'));
  return file;
};

test('plan: says where the order of the control plane would end otherwise, and priorities settle it', async () => {
  const plain = await espalier('plan', '-f', crowded(0));
  assert.equal(plain.code, 4);
  assert.match(plain.stdout, /^ModelDeployment default\/a-small\nNo plan: InsufficientMemory$/m);
  assert.match(plain.stdout, /held by default\/large\)/);
  assert.match(
    plain.stdout,
    /default\/a-small gets 1 of 1 places, default\/large gets 0 of 1 places\. A higher spec.priority/,
  );
  const settled = await espalier('plan', '-f', crowded(10));
  assert.match(settled.stdout, /^ModelDeployment default\/a-small, priority 0$/m);
  assert.match(settled.stdout, /^ModelDeployment default\/large, priority 10\nPlan: /m);
  assert.match(settled.stdout, /held by default\/large \(priority 10\)/);
  assert.doesNotMatch(settled.stdout, /control plane/);
});

test('plan: 0 with a plan, 4 with the bytes that are missing, 3 without a deployment', async () => {
  const planned = await espalier('plan', '-f', 'examples/fleets/four-mac-minis', '-o', 'yaml');
  assert.equal(planned.code, 0);
  const { plans } = parse(planned.stdout) as { plans: { result: { ok: boolean } }[] };
  assert.equal(plans[0]?.result.ok, true);
  const short = await espalier('plan', '-f', 'examples/does-not-fit');
  assert.equal(short.code, 4);
  assert.match(short.stdout, /on mini-1, .*short by .* \([\d,]+ bytes\)/);
  writeFileSync(join(folder, 'empty.yaml'), '# nothing\n');
  assert.equal((await espalier('plan', '-f', join(folder, 'empty.yaml'))).code, 3);
  writeFileSync(join(folder, 'broken.yaml'), 'hello: [');
  const broken = await espalier('plan', '-f', join(folder, 'broken.yaml'));
  assert.equal(broken.code, 3);
  assert.match(broken.stderr, /broken\.yaml:1: skipped: not valid YAML/);
});

test('plan --what-if, --dot and --svg show a fleet that is in no YAML', async () => {
  const svg = join(folder, 'plan.svg');
  const fleet = ['-f', 'examples/fleets/four-mac-minis', '--what-if', 'node/mini-5=like/mini-1'];
  const drawn = await espalier('plan', ...fleet, '--dot', '--svg', svg);
  assert.equal(drawn.code, 0, drawn.stderr);
  assert.match(drawn.stdout, /^graph espalier \{\n/);
  assert.match(drawn.stdout, /"mini-4" -- "mini-5" \[label="Thunderbolt5/);
  assert.match(readFileSync(svg, 'utf8'), /^<svg .*>mini-5</s);
  const nowhere = await espalier('plan', ...fleet, '--svg', join(folder, 'no', 'such.svg'));
  assert.equal(nowhere.code, 2);
  assert.match(nowhere.stderr, /--svg .*such\.svg: cannot be written .* name a file in a folder/);
  const wrong = await espalier('plan', ...fleet, '--what-if', 'lost/mini-9');
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /--what-if lost\/mini-9: there is no node mini-9, only mini-1/);
});

test('get, describe, events and logs say that there is no control plane, and where they looked', async () => {
  const state = join(folder, 'nowhere');
  const commands = [['get', 'mdep'], ['describe', 'mdep', 'x'], ['events'], ['logs', 'x']];
  for (const command of commands) {
    const { code, stderr } = await espalier(...command, '--state-dir', state);
    assert.ok(code === 1 || code === 5, command.join(' '));
    assert.match(stderr, new RegExp(state));
  }
});

test('an API server that does not answer ends a command with exit code 1 and says so', async () => {
  const kubeconfig = join(folder, 'nobody.yaml');
  // Port 1 is nobody's.
  writeFileSync(
    kubeconfig,
    stringify({
      'current-context': 'x',
      clusters: [{ name: 'x', cluster: { server: 'https://127.0.0.1:1' } }],
      users: [{ name: 'x', user: { token: 'very-secret' } }],
      contexts: [{ name: 'x', context: { cluster: 'x', user: 'x' } }],
    }),
  );
  for (const args of [
    ['status', 'a'],
    ['pause', 'a'],
  ]) {
    const { code, stdout, stderr } = await espalier(...args, '--kubeconfig', kubeconfig);
    assert.equal(code, 1, stderr);
    assert.equal(stdout, '');
    assert.match(
      stderr,
      /^espalier: the API server does not answer .*ECONNREFUSED.* \[ApiUnreachable\]\n$/,
    );
  }
});
