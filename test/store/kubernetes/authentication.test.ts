import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { EspalierError } from '../../../src/base/errors.ts';
import { createApiConnection } from '../../../src/store/kubernetes/transport.ts';
import { createAuthority, issue } from '../../support/certificates.ts';
import type { Certificate } from '../../support/certificates.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { connectProxy, socksProxy, tlsServer } from '../../support/tls-servers.ts';
import type { Seen } from '../../support/tls-servers.ts';

const authority = createAuthority();
const local = issue(authority, { commonName: 'api' }, ['127.0.0.1']);
const named = issue(authority, { commonName: 'api' }, ['api.internal']);
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const authorityData = { 'certificate-authority-data': base64(authority.cert) };

const folder = (t: TestContext): string => {
  const path = mkdtempSync(join(tmpdir(), 'espalier-authentication-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
};

const kubeconfigIn = (path: string, cluster: object, user: object): string => {
  const file = join(path, 'config');
  const config = {
    'current-context': 'here',
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
  };
  writeFileSync(file, JSON.stringify(config));
  return file;
};

type Ask = () => Promise<Seen & { status: number }>;

const connectTo = (t: TestContext, path: string, cluster: object, user: object) => {
  const clock = fakeClock();
  const kubeconfig = kubeconfigIn(path, cluster, user);
  const connection = createApiConnection({ kubeconfig, clock });
  t.after(async () => connection.close());
  const ask: Ask = async () => {
    const signal = AbortSignal.timeout(30_000);
    const { status, body } = await connection.transport({ method: 'GET', path: '/x', signal });
    let text = '';
    for await (const chunk of body) text += Buffer.from(chunk).toString();
    return { status, ...(JSON.parse(text) as Seen) };
  };
  return { ask, clock };
};

const urlOf = (port: number): string => `https://127.0.0.1:${port}`;

const unreachable = (pattern: RegExp) => (error: unknown) =>
  error instanceof EspalierError && error.code === 'ApiUnreachable' && pattern.test(error.message);

test('a client certificate is shown, from data or files, and a rotated file is taken up', async (t) => {
  const path = folder(t);
  const server = urlOf(await tlsServer(t, local, authority));
  const [anna, ben] = ['anna', 'ben'].map((commonName) => issue(authority, { commonName }));
  const data = {
    'client-certificate-data': base64(anna!.cert),
    'client-key-data': base64(anna!.key),
  };
  const { ask } = connectTo(t, path, { server, ...authorityData }, data);
  assert.equal((await ask()).commonName, 'anna');

  const write = ({ cert, key }: Certificate): void => {
    writeFileSync(join(path, 'client.crt'), cert);
    writeFileSync(join(path, 'client.key'), key);
  };
  write(anna!);
  writeFileSync(join(path, 'ca.crt'), authority.cert);
  const files = { 'client-certificate': 'client.crt', 'client-key': 'client.key' };
  const cluster = { server, 'certificate-authority': 'ca.crt' };
  const byFile = connectTo(t, path, cluster, files);
  assert.equal((await byFile.ask()).commonName, 'anna');
  write(ben!);
  await byFile.clock.advance(11_000);
  assert.equal((await byFile.ask()).commonName, 'ben');
});

test('a plugin may give a certificate, and is told what client-go would tell it', async (t) => {
  const path = folder(t);
  const server = urlOf(await tlsServer(t, local, authority));
  const { cert, key } = issue(authority, { commonName: 'carl' });
  const told = join(path, 'told.json');
  const status = { clientCertificateData: cert, clientKeyData: key };
  const credential = {
    apiVersion: 'client.authentication.k8s.io/v1',
    kind: 'ExecCredential',
    status,
  };
  writeFileSync(join(path, 'credential.json'), JSON.stringify(credential));
  writeFileSync(
    join(path, 'plugin'),
    `#!/bin/sh\nprintf %s "$KUBERNETES_EXEC_INFO" > '${told}'\ncat '${path}/credential.json'\n`,
    { mode: 0o755 },
  );
  // Beside the kubeconfig, as kubectl finds it.
  const exec = { ...credential, command: './plugin', provideClusterInfo: true, env: null };
  const { ask } = connectTo(t, path, { server, ...authorityData }, { exec });
  assert.equal((await ask()).commonName, 'carl');
  const { default: info } = await import(told, { with: { type: 'json' } });
  assert.equal(info.kind, 'ExecCredential');
  assert.equal(info.spec.interactive, false);
  assert.deepEqual(info.spec.cluster, { server, ...authorityData, config: null });
});

test('a server that the authority does not vouch for is not spoken to, unless that is asked for', async (t) => {
  const path = folder(t);
  const seen: Seen[] = [];
  const server = urlOf(await tlsServer(t, local, authority, (each) => seen.push(each) > 0));
  const user = { token: 't' };
  const stranger = createAuthority();
  const wrong = { 'certificate-authority-data': base64(stranger.cert) };
  for (const cluster of [{ server }, { server, ...wrong }]) {
    const { ask } = connectTo(t, path, cluster, user);
    await assert.rejects(ask(), unreachable(/certificate|signature/));
  }
  assert.deepEqual(seen, [], 'no token was sent');
  const { ask } = connectTo(t, path, { server, 'insecure-skip-tls-verify': true }, user);
  assert.equal((await ask()).authorization, 'Bearer t');
});

test('tls-server-name is the name that is asked for and checked', async (t) => {
  const path = folder(t);
  const server = urlOf(await tlsServer(t, named, authority));
  const cluster = { server, ...authorityData };
  await assert.rejects(connectTo(t, path, cluster, {}).ask(), unreachable(/127\.0\.0\.1/));
  const { ask } = connectTo(t, path, { ...cluster, 'tls-server-name': 'api.internal' }, {});
  assert.equal((await ask()).serverName, 'api.internal');
});

test('a proxy is asked for the server’s name, and TLS goes through it to the server', async (t) => {
  const path = folder(t);
  const port = await tlsServer(t, named, authority);
  const cluster = { server: 'https://api.internal:6443', ...authorityData };
  const user = { token: 't' };
  const http = await connectProxy(t, port);
  const proxyUrl = `http://me:secret@127.0.0.1:${http.port}`;
  const byHttp = connectTo(t, path, { ...cluster, 'proxy-url': proxyUrl }, user);
  const { authorization, serverName } = await byHttp.ask();
  assert.deepEqual([authorization, serverName], ['Bearer t', 'api.internal']);
  assert.deepEqual(http.asked, ['api.internal:6443']);
  assert.deepEqual(http.passwords, [`Basic ${base64('me:secret')}`]);

  const socks = await socksProxy(t, port);
  const socksUrl = `socks5://127.0.0.1:${socks.port}`;
  const bySocks = connectTo(t, path, { ...cluster, 'proxy-url': socksUrl }, user);
  assert.equal((await bySocks.ask()).serverName, 'api.internal');
  assert.deepEqual(socks.asked, ['api.internal']);
});

test('HTTPS_PROXY leads through a proxy, and NO_PROXY past it', async (t) => {
  const path = folder(t);
  const proxy = await connectProxy(t, await tlsServer(t, named, authority));
  const cluster = { server: 'https://api.internal:6443', ...authorityData };
  t.after(() => {
    delete process.env['HTTPS_PROXY'];
    delete process.env['NO_PROXY'];
  });
  process.env['HTTPS_PROXY'] = `http://127.0.0.1:${proxy.port}`;
  assert.equal((await connectTo(t, path, cluster, {}).ask()).status, 200);
  assert.equal(proxy.asked.length, 1);
  process.env['NO_PROXY'] = 'internal';
  await assert.rejects(connectTo(t, path, cluster, {}).ask(), unreachable(/api\.internal/));
  assert.equal(proxy.asked.length, 1);
});

test('what cannot be used is refused with what to do instead', (t) => {
  const path = folder(t);
  const cluster = { server: 'https://127.0.0.1:1' };
  const plugin = { apiVersion: 'client.authentication.k8s.io/v1', command: 'x' };
  const rows: [user: object, message: RegExp][] = [
    [
      { 'auth-provider': { name: 'oidc', config: { 'id-token': 's3cret' } } },
      /\(oidc\).*exec plugin/,
    ],
    [{ 'auth-provider': { name: 'gcp' } }, /auth-provider \(gcp\)/],
    [{ exec: { ...plugin, interactiveMode: 'Always' } }, /somebody at a terminal/],
    [{ as: 'a', 'as-uid': '1' }, /as-uid/],
  ];
  for (const [user, message] of rows) {
    const kubeconfig = kubeconfigIn(path, cluster, user);
    assert.throws(
      () => createApiConnection({ kubeconfig }),
      (error) =>
        error instanceof EspalierError &&
        error.code === 'KubeconfigInvalid' &&
        message.test(error.message) &&
        !error.message.includes('s3cret'),
    );
  }
});

test('a plugin that is not there is named, with the hint of the kubeconfig', async (t) => {
  const path = folder(t);
  const exec = {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: 'no-such-plugin',
    installHint: 'brew install no-such-plugin',
  };
  const { ask } = connectTo(t, path, { server: 'https://127.0.0.1:1' }, { exec });
  await assert.rejects(
    ask(),
    (error) =>
      error instanceof EspalierError &&
      error.code === 'ApiUnauthorized' &&
      /no-such-plugin ENOENT; brew install/.test(error.message),
  );
});
