import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { kubeTestPath } from '../../scripts/setup/kube-test.ts';
import { root } from '../../scripts/setup/step.ts';
import type { ModelDeployment } from '../../src/resources/types.ts';
import { eventually } from '../support/eventually.ts';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';
import { Cluster } from './support/cluster.ts';
import { installCRDs, kubectlOk, runCommand } from './support/kubectl.ts';
import type { CommandResult } from './support/kubectl.ts';

let server: ApiServer;
let cluster: Cluster;
/** With what `npm install` puts on PATH. */
let binFolder: string;

before(async () => {
  server = await startApiServer({ users: { alice: [] } });
  await installCRDs(server);
  cluster = await Cluster.create(server);
  await cluster.startOperator();
  binFolder = join(server.folder, 'bin');
  mkdirSync(binFolder);
  for (const name of ['kubectl-espalier', 'kubectl_complete-espalier']) {
    symlinkSync(join(root, 'bin', `${name}.mjs`), join(binFolder, name));
  }
  await kubectlOk(server, ['apply', '-f', 'examples/quickstart']);
});
after(async () => {
  await cluster.stop();
  await server.stop();
});

/** `kubectl ARGS`, the real one, with the plugins on its PATH. */
const kubectl = async (
  args: string[],
  { kubeconfigPath = server.kubeconfigPath } = {},
): Promise<CommandResult> =>
  runCommand(kubeTestPath(), ['kubectl', ...args], {
    env: {
      KUBECONFIG: kubeconfigPath,
      HOME: server.folder,
      PATH: `${binFolder}:${dirname(process.execPath)}:${process.env['PATH']}`,
    },
  });
const espalier = async (...args: string[]): Promise<CommandResult> =>
  kubectl(['espalier', ...args]);

const annotate = async (name: string, value: string): Promise<string> =>
  kubectlOk(server, ['annotate', 'mdep/sprout', `${name}${value}`]);

const managersOfSpec = ({ metadata }: ModelDeployment): string[] =>
  (
    metadata as unknown as {
      managedFields: { manager: string; fieldsV1: Record<string, unknown> }[];
    }
  ).managedFields.flatMap(({ manager, fieldsV1 }) => ('f:spec' in fieldsV1 ? [manager] : []));

test('kubectl espalier status says what a deployment waits for, with exit code 6', async () => {
  await eventually('the operator has looked at it', async () => {
    const { metadata, status } = await cluster.deployment('sprout');
    return status.observedGeneration === metadata.generation;
  });
  const { code, stdout, stderr } = await espalier('status', 'sprout');
  assert.equal(code, 6, stderr);
  assert.match(stdout, /^default\/sprout: in progress \(/);
});

test('kubectl espalier status --wait returns with 0 when every rank has answered', async () => {
  for (const name of ['mini-1', 'mini-2', 'mini-3']) cluster.startNode(name);
  const { code, stdout, stderr } = await espalier('status', 'sprout', '--wait');
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /Serving +yes: 1 of 1 groups/);
  const nodes = await espalier('nodes');
  assert.match(nodes.stdout, /^mini-3 +Ready/m);
  const planned = await espalier('plan', 'sprout');
  assert.equal(planned.code, 0, planned.stderr);
  assert.match(planned.stdout, /planned now\nPlan: Tensor 2 over TCP/);
});

test('get, describe and events show the same over an API server as over a directory', async () => {
  assert.match((await espalier('get', 'mdep')).stdout, /^sprout .*True/m);
  assert.match((await espalier('describe', 'mdep/sprout')).stdout, /Ready +True +AllRanksAnswered/);
  assert.match((await espalier('events', '--for', 'mdep/sprout')).stdout, /GroupReady/);
});

test('undo goes back to the revision before, as a field manager of its own, and the revision is taken up again', async () => {
  const change = { spec: { runtime: { contextLength: 256 } } };
  await kubectlOk(server, ['patch', 'mdep/sprout', '--type=merge', '-p', JSON.stringify(change)]);
  const first = (await cluster.deployment('sprout')).status.currentRevision;
  await eventually(
    'the second revision',
    async () => (await cluster.deployment('sprout')).status.updateRevision !== first,
  );
  const history = await espalier('history', 'sprout');
  assert.match(history.stdout, /^2 \* .*runtime\.contextLength: 512 → 256$/m);
  const checked = await espalier('undo', 'sprout', '--dry-run');
  assert.equal(checked.code, 0, checked.stderr);
  assert.equal((await cluster.deployment('sprout')).spec.runtime.contextLength, 256);
  const undone = await espalier('undo', 'sprout');
  assert.equal(undone.code, 0, undone.stderr);
  assert.match(undone.stdout, /back at revision 1 \(runtime\.contextLength: 256 → 512\)/);
  assert.match(undone.stderr, /change it there too, or the next kubectl apply takes this back/);
  const now = await cluster.deployment('sprout');
  assert.ok(managersOfSpec(now).includes('espalier-cli'));
  assert.equal((await espalier('status', 'sprout', '--wait')).code, 0);
  assert.equal((await cluster.deployment('sprout')).status.currentRevision, first);
});

test('pause and resume set spec.paused and nothing else', async () => {
  const { spec } = await cluster.deployment('sprout');
  assert.equal((await espalier('pause', 'sprout')).code, 0);
  assert.deepEqual((await cluster.deployment('sprout')).spec, { ...spec, paused: true });
  assert.match((await espalier('pause', 'sprout')).stdout, /is paused already/);
  assert.equal((await espalier('resume', 'sprout')).code, 0);
  assert.deepEqual((await cluster.deployment('sprout')).spec, spec);
});

test('restart starts every group once, at the same revision', async () => {
  const before = (await cluster.deployment('sprout')).status;
  const { code, stdout } = await espalier('restart', 'sprout');
  assert.equal(code, 0, stdout);
  const { spec } = await cluster.deployment('sprout');
  await eventually('it is restarted', async () => {
    const { groups } = (await cluster.deployment('sprout')).status;
    return groups[0]?.restartTime === spec.restartTime;
  });
  assert.equal((await espalier('status', 'sprout', '--wait')).code, 0);
  const { status } = await cluster.deployment('sprout');
  assert.equal(status.groups[0]?.incarnation, before.groups[0]!.incarnation + 1);
  assert.equal(status.currentRevision, before.currentRevision);
});

test('what Git keeps is not changed: the change to commit is printed, and --force writes it', async () => {
  const annotation = 'argocd.argoproj.io/tracking-id';
  await annotate(annotation, '=fleet:espalier.dev/ModelDeployment:default/sprout');
  const refused = await espalier('pause', 'sprout');
  assert.equal(refused.code, 8);
  assert.match(refused.stdout, /^--- a\/sprout\.yaml$[^]*^\+ {2}paused: true$/m);
  assert.match(refused.stderr, /Argo CD application fleet keeps this object as Git says/);
  assert.equal((await cluster.deployment('sprout')).spec.paused, false);
  assert.equal((await espalier('pause', 'sprout', '--force')).code, 0);
  assert.equal((await cluster.deployment('sprout')).spec.paused, true);
  assert.equal((await espalier('resume', 'sprout', '--force')).code, 0);
  await annotate(annotation, '-');
});

test('drain moves the ranks of a node elsewhere and keeps the taints that others set', async () => {
  const { status } = await cluster.deployment('sprout');
  const [stays = '', leaves = ''] = status.groups.flatMap(({ members }) =>
    members.map(({ nodeName }) => nodeName),
  );
  const taints = [{ key: 'team', effect: 'NoSchedule' }];
  const patch = JSON.stringify({ spec: { taints } });
  await kubectlOk(server, ['patch', 'cnode', leaves, '--type=merge', '-p', patch]);
  assert.equal((await espalier('drain', leaves)).code, 8);
  const drained = await espalier('drain', leaves, '--allow-disruption', '--timeout', '90');
  assert.equal(drained.code, 0, drained.stderr);
  assert.match(drained.stdout, new RegExp(`^default/sprout/0: ${stays}, ${leaves} → `, 'm'));
  assert.equal((await espalier('uncordon', leaves)).code, 0);
  const path = `/apis/espalier.dev/v1alpha1/clusternodes/${leaves}`;
  const { body } = await server.request('GET', path);
  const { spec } = body as { spec: { unschedulable: boolean; taints: unknown } };
  assert.deepEqual([spec.unschedulable, spec.taints], [false, taints]);
});

test('a user who may see deployments and nothing else gets their status', async () => {
  const rules = ['--verb=get,list', '--resource=modeldeployments,modeldeploymentrevisions'];
  await kubectlOk(server, ['create', 'role', 'reader', ...rules]);
  await kubectlOk(server, ['create', 'rolebinding', 'reader', '--role=reader', '--user=alice']);
  const kubeconfigPath = await server.kubeconfigFor('alice');
  const status = await kubectl(['espalier', 'status', 'sprout'], { kubeconfigPath });
  assert.match(status.stdout, /^default\/sprout: /, status.stderr);
  const pause = await kubectl(['espalier', 'pause', 'sprout'], { kubeconfigPath });
  assert.equal(pause.code, 1);
  assert.match(pause.stderr, /\[ApiForbidden\]/);
});

test('kubectl completes the commands of the plugin and the names behind them', async () => {
  const commands = await kubectl(['__complete', 'espalier', 'und']);
  assert.match(commands.stdout, /^undo\t/m);
  const names = await kubectl(['__complete', 'espalier', 'status', '']);
  assert.match(names.stdout, /^sprout$/m);
});
