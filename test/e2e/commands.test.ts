import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { Fleet, nodeYaml } from './fleet.ts';

const nodeNames = ['mini-1', 'mini-2', 'mini-3'];

/** As a person writes it: comments and all. */
const yaml = `# One small model.
apiVersion: espalier.dev/v1alpha1
kind: ModelDeployment
metadata:
  name: sprout
spec:
  model: { uri: file://./examples/models/sprout }
  runtime:
    contextLength: 256 # enough for a test
    maxConcurrentRequests: 2
  parallelism: { strategy: Tensor, tensorSize: 2 }
`;

let fleet: Fleet;

before(async () => {
  fleet = await Fleet.create();
  fleet.write('nodes.yaml', nodeNames.map((name) => nodeYaml(name)).join('---\n'));
  fleet.startControlPlane();
  await eventually('the control plane runs', () => fleet.node('mini-3') !== undefined);
});

after(async () => fleet.stop());

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** A command over this fleet's state, to its end, whatever that is. */
const espalier = async (...args: string[]): Promise<Outcome> =>
  new Promise((resolve) => {
    const env = { ...process.env, ESPALIER_STATE_DIR: fleet.stateDirectory };
    const options = { env, timeout: 300_000, killSignal: 'SIGKILL' } as const;
    execFile(process.execPath, ['src/cli/main.ts', ...args], options, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    );
  });

/** Nodes of the one group, by rank: which ones depends on who reported first. */
const placed = (): string[] =>
  fleet
    .deployment('sprout')!
    .status.groups.flatMap(({ members }) => members.map(({ nodeName }) => nodeName));

const textOf = (file: string): string => readFileSync(join(fleet.folder, 'yaml', file), 'utf8');

test('status says 5 before there is a deployment, 6 while it waits for daemons, and names what is missing', async () => {
  assert.equal((await espalier('status', 'sprout')).code, 5);
  fleet.write('sprout.yaml', yaml);
  await eventually('it was looked at', () => fleet.condition('sprout', 'Ready'));
  const waiting = await espalier('status', 'sprout', '--wait', '--timeout', '0.5');
  assert.equal(waiting.code, 6, waiting.stderr);
  assert.match(waiting.stdout, /^default\/sprout: in progress \(/);
  assert.match(waiting.stdout, /Serving +no: 0 of 1 groups/);
});

test('status --wait returns with 0 when every rank has answered', async () => {
  for (const name of nodeNames) fleet.startNode(name);
  const ready = await espalier('status', 'sprout', '--wait', '--timeout', '180');
  assert.equal(ready.code, 0, ready.stdout + ready.stderr);
  assert.match(ready.stdout, /^default\/sprout: ready/);
  const nodes = await espalier('nodes');
  assert.match(nodes.stdout, new RegExp(`^${placed()[0]} +Ready .*default/sprout/0/0`, 'm'));
  const planned = await espalier('plan', 'sprout');
  assert.equal(planned.code, 0, planned.stderr);
  assert.match(planned.stdout, /as it runs[^]*planned now\nPlan: Tensor 2 over TCP/);
});

test('pause shows the change to the file, and makes it with --write; nothing else in the file moves', async () => {
  const shown = await espalier('pause', 'sprout');
  assert.equal(shown.code, 8);
  assert.match(shown.stdout, /^\+ {2}paused: true$/m);
  assert.match(shown.stderr, /sprout\.yaml says what is wanted.*--write/);
  assert.equal(textOf('sprout.yaml'), yaml);
  assert.equal((await espalier('pause', 'sprout', '--write')).code, 0);
  assert.equal(textOf('sprout.yaml'), `${yaml}  paused: true\n`);
  await eventually('it is paused', () => fleet.deployment('sprout')?.spec.paused);
  assert.equal((await espalier('resume', 'sprout', '--write')).code, 0);
  await eventually('it goes on', () => fleet.deployment('sprout')?.spec.paused === false);
});

test('undo takes the spec of the revision before back into the file, with its comments, and the revision is taken up again', async () => {
  const [first] = JSON.parse((await espalier('history', 'sprout', '-o', 'json')).stdout) as {
    name: string;
  }[];
  fleet.write('sprout.yaml', textOf('sprout.yaml').replace('256', '128'));
  await eventually(
    'the second revision',
    () => fleet.deployment('sprout')?.status.updateRevision !== first?.name,
  );
  const history = await espalier('history', 'sprout');
  assert.match(history.stdout, /^2 \* .*runtime\.contextLength: 256 → 128$/m);
  const undone = await espalier('undo', 'sprout', '--write');
  assert.equal(undone.code, 0, undone.stderr);
  assert.match(undone.stdout, /back at revision 1 \(runtime\.contextLength: 128 → 256\)/);
  assert.match(textOf('sprout.yaml'), /^ {4}contextLength: 256 # enough for a test$/m);
  const { status } = await fleet.ready(
    'sprout',
    (deployment) => deployment.status.currentRevision === first?.name,
  );
  assert.equal(status.updateRevision, first?.name);
});

test('a drain that would interrupt what is promised is refused; allowed, it empties the node and says where its group went', async () => {
  const [stays = '', leaves = ''] = placed();
  const spare = nodeNames.find((name) => name !== stays && name !== leaves) ?? '';
  const refused = await espalier('drain', leaves, '--write');
  assert.equal(refused.code, 8);
  assert.match(refused.stderr, /default\/sprout promises 1 serving, has 1, and 0 would be left/);
  const drained = await espalier('drain', leaves, '--write', '--allow-disruption');
  assert.equal(drained.code, 0, drained.stderr);
  assert.match(drained.stdout, new RegExp(`^default/sprout/0: ${stays}, ${leaves} → `, 'm'));
  // One that has ended is listed until the node has forgotten it.
  const running = fleet
    .node(leaves)!
    .status.ranks.filter(({ state }) => state !== 'Stopped' && state !== 'Failed');
  assert.deepEqual(running, []);
  await fleet.ready('sprout');
  assert.deepEqual(placed().toSorted(), [stays, spare].toSorted());
  assert.equal((await espalier('uncordon', leaves, '--write')).code, 0);
  await eventually('it takes ranks again', () => {
    const spec = fleet.node(leaves)?.spec;
    return spec && !spec.unschedulable && spec.taints.length === 0;
  });
});

test('names of deployments and nodes are completed from the control plane', async () => {
  assert.equal((await espalier('__complete', '--', 'undo', 's')).stdout, 'sprout\n:4\n');
  assert.equal(
    (await espalier('__complete', '--', 'drain', '')).stdout,
    'mini-1\nmini-2\nmini-3\n:4\n',
  );
});
