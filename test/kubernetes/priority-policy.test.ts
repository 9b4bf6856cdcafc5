import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';
import { installCRDs, kubectl, kubectlOk } from './support/kubectl.ts';

const operator = 'system:serviceaccount:espalier-system:espalier-operator';

let server: ApiServer;
before(async () => {
  server = await startApiServer({ users: { ann: ['on-call'], bob: ['developers'] } });
  await installCRDs(server);
  await kubectlOk(server, ['create', 'namespace', 'inference']);
  await kubectlOk(server, ['apply', '--server-side', '-k', 'manifests/overlays/default']);
  await kubectlOk(server, ['apply', '-f', 'manifests/policies/priorities.yaml']);
  // Nobody aggregates roles here: those that are aggregated to edit are bound themselves.
  const groups = ['--group=on-call', '--group=developers'];
  for (const namespace of ['inference', 'default']) {
    for (const role of ['espalier-view', 'espalier-edit']) await bind(role, groups, namespace);
  }
  await bind('espalier-prioritize', ['--group=on-call'], 'inference');
  await eventually(
    'the policy is in force',
    async () => (await write('bob', high)).stderr.includes('prioritize'),
    { timeoutMs: 60_000 },
  );
});
after(async () => server.stop());

const bind = async (role: string, subjects: string[], namespace: string): Promise<void> => {
  const args = ['create', 'rolebinding', role, `--clusterrole=${role}`, ...subjects];
  await kubectlOk(server, [...args, '-n', namespace]);
};

const high = { priority: 1000 };
const preempting = { preemptionPolicy: 'PreemptLowerPriority' };

const write = async (
  user: string,
  fields: object,
  { namespace = 'inference', isDryRun = true } = {},
) => {
  const object = {
    apiVersion: 'espalier.dev/v1alpha1',
    kind: 'ModelDeployment',
    metadata: { name: 'chat', namespace },
    spec: { model: { uri: 'file:///models/sprout' }, ...fields },
  };
  const args = ['apply', '-f', '-', ...(isDryRun ? ['--dry-run=server'] : [])];
  const kubeconfigPath =
    user === 'admin' ? server.kubeconfigPath : await server.kubeconfigFor(user);
  return kubectl(server, args, { kubeconfigPath, input: JSON.stringify(object) });
};

test('who may not put models before those of others can write all but that', async () => {
  for (const fields of [{}, { priority: 0 }, { priority: -5, preemptionPolicy: 'Never' }]) {
    const { code, stderr } = await write('bob', fields);
    assert.equal(code, 0, stderr);
  }
  for (const fields of [high, preempting, { priority: -5, ...preempting }]) {
    const { code, stderr } = await write('bob', fields);
    assert.equal(code, 1);
    assert.match(stderr, /needs the verb prioritize on modeldeployments in namespace inference/);
    assert.match(stderr, /bob does not have/);
  }
});

test('who may, may in that namespace', async () => {
  const raised = await write('ann', { ...high, ...preempting });
  assert.equal(raised.code, 0, raised.stderr);
  assert.equal((await write('ann', high, { namespace: 'default' })).code, 1);
  assert.equal((await write('admin', high, { namespace: 'default' })).code, 0);
});

test('others may change the rest of such a deployment, and lower it, but not raise it', async () => {
  const asked = { ...high, ...preempting };
  const really = { isDryRun: false };
  assert.equal((await write('ann', asked, really)).code, 0);
  assert.equal((await write('bob', { ...asked, replicas: 2 })).code, 0);
  assert.equal((await write('bob', { ...asked, priority: 1001 })).code, 1);
  assert.equal((await write('bob', { ...asked, priority: 999 })).code, 0);
  assert.equal((await write('bob', {}, really)).code, 0);
  assert.equal((await write('bob', asked)).code, 1);
});

test('the operator goes on writing its finalizer', async () => {
  assert.equal((await write('ann', { ...high, ...preempting }, { isDryRun: false })).code, 0);
  const change = JSON.stringify({ metadata: { finalizers: ['espalier.dev/groups'] } });
  await kubectlOk(server, ['patch', 'mdep/chat', '-n', 'inference', '--type=merge', '-p', change], {
    kubeconfigPath: await server.kubeconfigFor(operator),
  });
});
