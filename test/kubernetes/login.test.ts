import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createApiConnection } from '../../src/store/kubernetes/transport.ts';
import { issue } from '../support/certificates.ts';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';
import { kubectlOk } from './support/kubectl.ts';

let server: ApiServer;
before(async () => {
  server = await startApiServer({ users: { anna: ['readers'] } });
});
after(async () => server.stop());

const kubeconfig = (name: string, user: object, cluster: object = {}): string => {
  const file = join(server.folder, `${name}.kubeconfig`);
  const authority = { 'certificate-authority-data': base64(server.certificateAuthority) };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server: server.url, ...authority, ...cluster } }],
    users: [{ name, user }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  };
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  return file;
};

const base64 = (text: string): string => Buffer.from(text).toString('base64');

interface Whoami {
  status: { userInfo: { username: string; groups: string[] } };
}

/** Who the server takes us for. */
const whoWeAre = async (file: string): Promise<Whoami['status']['userInfo']> => {
  const connection = createApiConnection({ kubeconfig: file });
  try {
    const group = 'authentication.k8s.io/v1';
    const { status, body } = await connection.transport({
      method: 'POST',
      path: `/apis/${group}/selfsubjectreviews`,
      body: { apiVersion: group, kind: 'SelfSubjectReview' },
      signal: AbortSignal.timeout(30_000),
    });
    let text = '';
    for await (const chunk of body) text += Buffer.from(chunk).toString();
    assert.equal(status, 201, text);
    return (JSON.parse(text) as Whoami).status.userInfo;
  } finally {
    await connection.close();
  }
};

const whoKubectlIs = async (kubeconfigPath: string): Promise<Whoami['status']['userInfo']> => {
  const text = await kubectlOk(server, ['auth', 'whoami', '-o', 'json'], { kubeconfigPath });
  return (JSON.parse(text) as Whoami).status.userInfo;
};

test('the server takes us for whom it takes kubectl with the same kubeconfig', async () => {
  const { cert, key } = issue(server.clientAuthority, {
    commonName: 'carl',
    organization: 'drivers',
  });
  const token = await server.tokenFor('anna');
  const tokenFile = join(server.folder, 'anna.token');
  writeFileSync(tokenFile, `${token}\n`);
  const certificate = { 'client-certificate-data': base64(cert), 'client-key-data': base64(key) };
  const status = { clientCertificateData: cert, clientKeyData: key };
  const plugin = {
    apiVersion: 'client.authentication.k8s.io/v1',
    interactiveMode: 'Never',
    command: 'printf',
  };
  const credential = (fields: object): string =>
    JSON.stringify({ apiVersion: plugin.apiVersion, kind: 'ExecCredential', status: fields });
  const users: Record<string, [user: object, name: string, cluster?: object]> = {
    certificate: [certificate, 'carl'],
    token: [{ token }, 'anna'],
    'token-file': [{ tokenFile }, 'anna'],
    'plugin-token': [{ exec: { ...plugin, args: ['%s', credential({ token })] } }, 'anna'],
    'plugin-certificate': [{ exec: { ...plugin, args: ['%s', credential(status)] } }, 'carl'],
    'server-name': [{ token }, 'anna', { 'tls-server-name': 'kubernetes.default.svc' }],
    impersonation: [{ token: server.adminToken, as: 'ben' }, 'ben'],
  };
  for (const [name, [user, expected, cluster]] of Object.entries(users)) {
    const file = kubeconfig(name, user, cluster);
    const we = await whoWeAre(file);
    assert.equal(we.username, expected, name);
    const { username, groups } = await whoKubectlIs(file);
    assert.deepEqual([we.username, we.groups], [username, groups], name);
  }
});
