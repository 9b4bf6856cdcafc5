import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { eventually } from '../support/eventually.ts';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';
import { kubectl, kubectlOk } from './support/kubectl.ts';
import { send } from './support/request.ts';

let server: ApiServer;
before(async () => {
  server = await startApiServer({ users: { alice: ['readers'] } });
});
after(async () => server.stop());

const configMap = (name: string, owner?: { name: string; uid: string }): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name,
      ...(owner && { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', ...owner }] }),
    },
  });

const exists = async (name: string): Promise<boolean> =>
  (await server.request('GET', `/api/v1/namespaces/default/configmaps/${name}`)).status === 200;

test('an owned object goes when its owner is deleted', async () => {
  await kubectlOk(server, ['create', '-f', '-'], { input: configMap('owner') });
  const uid = await kubectlOk(server, ['get', 'cm/owner', '-o', 'jsonpath={.metadata.uid}']);
  await kubectlOk(server, ['create', '-f', '-'], {
    input: configMap('owned', { name: 'owner', uid }),
  });
  await kubectlOk(server, ['delete', 'cm/owner']);
  await eventually('the owned object is gone', async () => !(await exists('owned')));
});

test('a deleted namespace empties itself and goes', async () => {
  await kubectlOk(server, ['create', 'namespace', 'short-lived']);
  await kubectlOk(server, ['create', 'configmap', 'inside', '-n', 'short-lived']);
  await kubectlOk(server, ['delete', 'namespace', 'short-lived', '--timeout=60s']);
  const { status } = await server.request('GET', '/api/v1/namespaces/short-lived');
  assert.equal(status, 404);
});

test('a user may do what a Role says and nothing else', async () => {
  const kubeconfigPath = await server.kubeconfigFor('alice');
  const asAlice = async (...args: string[]): Promise<number> =>
    (await kubectl(server, args, { kubeconfigPath })).code;
  assert.equal(await asAlice('get', 'configmaps'), 1);
  await kubectlOk(server, ['create', 'role', 'read', '--verb=get,list', '--resource=configmaps']);
  await kubectlOk(server, ['create', 'rolebinding', 'read', '--role=read', '--group=readers']);
  await eventually('the role is in force', async () => (await asAlice('get', 'configmaps')) === 0);
  assert.equal(await asAlice('create', 'configmap', 'not-hers'), 1);
});

test('a service account has a token that the server believes', async () => {
  await kubectlOk(server, ['create', 'serviceaccount', 'robot']);
  const kubeconfigPath = await server.kubeconfigFor('system:serviceaccount:default:robot');
  const who = await kubectlOk(
    server,
    ['auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}'],
    {
      kubeconfigPath,
    },
  );
  assert.equal(who, 'system:serviceaccount:default:robot');
});

for (const part of ['apiserver', 'etcd'] as const) {
  test(`what was written is there after ${part} was killed and came back`, async () => {
    await kubectlOk(server, ['create', 'configmap', `before-${part}-died`]);
    await server.kill(part);
    await server.restart(part);
    assert.ok(await exists(`before-${part}-died`));
    await kubectlOk(server, ['create', 'configmap', `after-${part}-died`]);
  });
}

test('a server ends with the process that started it, also when that is killed', async () => {
  const program = fileURLToPath(new URL('support/api-server-child.ts', import.meta.url));
  const child = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const { url, folder } = JSON.parse(String(line)) as { url: string; folder: string };
  const answers = async (): Promise<boolean> =>
    send(`${url}/readyz`, { method: 'GET', token: '', ca: '', contentType: '' }).then(
      () => true,
      (error: NodeJS.ErrnoException) => error.code !== 'ECONNREFUSED',
    );
  assert.ok(await answers());
  child.kill('SIGKILL');
  await eventually('nothing listens any more', async () => !(await answers()));
  rmSync(folder, { recursive: true });
});
