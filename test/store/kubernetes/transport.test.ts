import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { EspalierError } from '../../../src/base/errors.ts';
import { newKubeConfig } from '../../../src/store/kubernetes/kubeconfig-library.ts';
import { createApiConnection } from '../../../src/store/kubernetes/transport.ts';
import type { ApiConnection } from '../../../src/store/kubernetes/transport.ts';
import { eventually } from '../../support/eventually.ts';
import { fakeClock } from '../../support/fake-clock.ts';

const folder = (t: TestContext): string => {
  const path = mkdtempSync(join(tmpdir(), 'espalier-transport-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
};

const listen = async (
  t: TestContext,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> => {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

const writeConfig = (path: string, server: string, user: object, cluster: object = {}): string => {
  const file = join(path, 'config');
  const config = {
    'current-context': 'here',
    clusters: [{ name: 'c', cluster: { server, 'insecure-skip-tls-verify': true, ...cluster } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'here', context: { cluster: 'c', user: 'u', namespace: 'n' } }],
  };
  writeFileSync(file, JSON.stringify(config));
  return file;
};

const bodyOf = async (connection: ApiConnection, path: string): Promise<[number, string]> => {
  const signal = AbortSignal.timeout(60_000);
  const { status, body } = await connection.transport({ method: 'GET', path, signal });
  let text = '';
  for await (const chunk of body) text += Buffer.from(chunk).toString();
  return [status, text];
};

test('a token file is read anew, its newline left out; what was refused is tried with the new one', async (t) => {
  const path = folder(t);
  const tokenFile = join(path, 'token');
  writeFileSync(tokenFile, 'old\n');
  let valid = 'old';
  const server = await listen(t, (request, response) => {
    response.statusCode = request.headers.authorization === `Bearer ${valid}` ? 200 : 401;
    response.end(request.headers.authorization);
  });
  const kubeconfig = writeConfig(path, server, { tokenFile: 'token' });
  const connection = createApiConnection({ kubeconfig });
  t.after(async () => connection.close());
  assert.deepEqual(await bodyOf(connection, '/x'), [200, 'Bearer old']);
  valid = 'new';
  writeFileSync(tokenFile, 'new\n');
  assert.deepEqual(await bodyOf(connection, '/x'), [200, 'Bearer new']);
  assert.equal(connection.namespace, 'n');
});

test('a credential plugin is run once for concurrent requests, and again for a refused token', async (t) => {
  const path = folder(t);
  const runs = join(path, 'runs');
  writeFileSync(runs, '');
  const script = `
    const fs = require('node:fs');
    fs.appendFileSync(${JSON.stringify(runs)}, '.');
    const token = 'token-' + fs.readFileSync(${JSON.stringify(runs)}).length;
    console.log(JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status: { token } }));`;
  const exec = {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: process.execPath,
    args: ['-e', script],
  };
  let valid = 'Bearer token-1';
  const server = await listen(t, (request, response) => {
    response.statusCode = request.headers.authorization === valid ? 200 : 401;
    response.end(request.headers.authorization);
  });
  const connection = createApiConnection({ kubeconfig: writeConfig(path, server, { exec }) });
  t.after(async () => connection.close());
  const answers = await Promise.all([1, 2, 3].map(async () => bodyOf(connection, '/x')));
  assert.deepEqual(
    answers,
    Array.from({ length: 3 }, () => [200, 'Bearer token-1']),
  );
  valid = 'Bearer token-2';
  assert.deepEqual(await bodyOf(connection, '/x'), [200, 'Bearer token-2']);
  valid = 'Bearer none';
  assert.equal((await bodyOf(connection, '/x'))[0], 401, 'no loop of plugin runs');
});

test('what a failing plugin printed is in no message', async (t) => {
  const path = folder(t);
  const exec = {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: process.execPath,
    args: ['-e', 'console.log("s3cret-token")'],
  };
  const kubeconfig = writeConfig(path, 'http://127.0.0.1:1', { exec });
  const connection = createApiConnection({ kubeconfig });
  t.after(async () => connection.close());
  await assert.rejects(bodyOf(connection, '/x'), (error) => {
    assert.ok(error instanceof EspalierError);
    assert.equal(error.code, 'ApiUnauthorized');
    assert.doesNotMatch(error.message, /s3cret/);
    return true;
  });
});

test('a plugin that hangs is given up', async (t) => {
  const path = folder(t);
  const clock = fakeClock();
  const pidFile = join(path, 'pid');
  const hang = `fs.writeFileSync(${JSON.stringify(pidFile)}, String(process.pid)); setInterval(() => {}, 1000)`;
  const exec = {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: process.execPath,
    args: ['-e', hang],
  };
  const kubeconfig = writeConfig(path, 'http://127.0.0.1:1', { exec });
  const connection = createApiConnection({ kubeconfig, clock });
  t.after(async () => connection.close());
  const refused = assert.rejects(bodyOf(connection, '/x'), /did not answer within 30 s/);
  const pid = await eventually(
    'the plugin runs',
    () => Number(readFileSync(pidFile, 'utf8')) || undefined,
  );
  t.after(() => process.kill(pid));
  await clock.advance(30_000);
  await refused;
});

test('a server that nobody runs is unreachable, and cannot have seen the request', async (t) => {
  const path = folder(t);
  const kubeconfig = writeConfig(path, 'http://127.0.0.1:1', { token: 't' });
  const connection = createApiConnection({ kubeconfig });
  t.after(async () => connection.close());
  await assert.rejects(bodyOf(connection, '/x'), (error) => {
    assert.ok(error instanceof EspalierError);
    assert.equal(error.code, 'ApiUnreachable');
    assert.equal(error.facts['isSent'], false);
    return true;
  });
});

test('a connection cut after the request, and one cut in the body, may have been acted on', async (t) => {
  const path = folder(t);
  const server = await listen(t, (request, response) => {
    if (request.url === '/cut') return request.socket.destroy();
    response.write('{"half":');
    setImmediate(() => request.socket.destroy());
    return undefined;
  });
  const connection = createApiConnection({ kubeconfig: writeConfig(path, server, { token: 't' }) });
  t.after(async () => connection.close());
  for (const target of ['/cut', '/half']) {
    await assert.rejects(
      bodyOf(connection, target),
      (error) => error instanceof EspalierError && error.facts['isSent'] === true,
    );
  }
});

test('a path prefix of the server is kept, and a status is data, not an error', async (t) => {
  const path = folder(t);
  const server = await listen(t, (request, response) => {
    response.statusCode = 418;
    response.end(request.url);
  });
  const kubeconfig = writeConfig(path, `${server}/k8s/clusters/c-1/`, { token: 't' });
  const connection = createApiConnection({ kubeconfig });
  t.after(async () => connection.close());
  assert.deepEqual(await bodyOf(connection, '/api/v1?x=1'), [418, '/k8s/clusters/c-1/api/v1?x=1']);
});

test('close ends open streams and leaves no socket behind', async (t) => {
  const path = folder(t);
  let open = 0;
  const server = await listen(t, (request, response) => {
    open += 1;
    request.socket.on('close', () => (open -= 1));
    response.write('{}\n');
  });
  const connection = createApiConnection({ kubeconfig: writeConfig(path, server, { token: 't' }) });
  const { signal } = new AbortController();
  const { body } = await connection.transport({ method: 'GET', path: '/x', signal });
  const reading = assert.rejects(
    async () => {
      for await (const chunk of body) assert.equal(Buffer.from(chunk).toString(), '{}\n');
    },
    (error) => error instanceof EspalierError && error.code === 'ApiUnreachable',
  );
  await connection.close();
  await reading;
  await eventually('every socket is closed', () => open === 0);
});

const invalid = (pattern: RegExp) => (error: unknown) =>
  error instanceof EspalierError &&
  error.code === 'KubeconfigInvalid' &&
  pattern.test(error.message);
const open = (source: { kubeconfig: string; context?: string }) => () =>
  createApiConnection(source);

test('a kubeconfig that cannot be used says what is wrong with it', (t) => {
  const path = folder(t);
  const kubeconfig = writeConfig(path, 'http://127.0.0.1:1', { token: 't' });
  assert.throws(open({ kubeconfig, context: 'there' }), invalid(/"there" .*found here/));
  const text = join(path, 'text');
  writeFileSync(text, 'no kubeconfig');
  assert.throws(open({ kubeconfig: text }), invalid(/has no current context, found no context/));
  assert.throws(open({ kubeconfig: join(path, 'none') }), invalid(/cannot read .*ENOENT/));
  const other = writeConfig(path, 'http://127.0.0.1:1', { as: 'a', 'as-groups': ['admins'] });
  assert.throws(open({ kubeconfig: other }), invalid(/has as-groups, which Espalier does not/));
  const plain = writeConfig(path, 'http://127.0.0.1:1', {}, { 'insecure-skip-tls-verify': false });
  assert.throws(open({ kubeconfig: plain }), invalid(/expected an https server/));
});

test('the library is loaded without its API of every kind', () => {
  const config = newKubeConfig();
  config.loadFromClusterAndUser(
    { name: 'c', server: 'https://c', skipTLSVerify: false },
    { name: 'u' },
  );
  assert.throws(() => config.makeApiClient(Object), TypeError);
});
