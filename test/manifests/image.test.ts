import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { eventually } from '../support/eventually.ts';
import { restartablePort } from '../support/restartable-port.ts';

/** What the image holds, laid out by the COPY lines of its last stage. */
const folder = mkdtempSync(join(tmpdir(), 'espalier-image-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const build = (outDir: string): void => {
  const tsc = resolve('node_modules/.bin/tsc');
  execFileSync(tsc, ['-p', 'tsconfig.build.json', '--outDir', outDir], { timeout: 120_000 });
};

before(() => {
  const stage = readFileSync('manifests/Containerfile', 'utf8')
    .split(/^FROM /m)
    .at(-1)!;
  for (const [, from, source, target] of stage.matchAll(
    /^COPY (--from=build )?(?:\/build\/)?(\S+) (\S+)$/gm,
  )) {
    const path = join(folder, target!.endsWith('./') ? source! : target!);
    if (source === 'node_modules') symlinkSync(resolve('node_modules'), path);
    else if (from && source === 'dist') build(path);
    else cpSync(source!, path, { recursive: true });
  }
});

/** Any native addon, ours or a package's, fails to load. */
const withoutAddons = ['--no-addons', 'dist/cli/main.js'];

test('the image’s command has help, without an addon', async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [...withoutAddons, 'operator', '--help'],
    { cwd: folder, timeout: 90_000 },
  );
  assert.match(stdout, /espalier operator/);
});

test('the operator of the image starts without an addon, alive and not ready while no API server answers', async () => {
  const port = await restartablePort();
  const kubeconfig = join(folder, 'config');
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:1' } }],
      users: [{ name: 'u', user: { token: 'not-a-secret' } }],
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'c',
    }),
  );
  const args = ['operator', '--kubeconfig', kubeconfig, '--metrics-port', String(port)];
  const operator = spawn(process.execPath, [...withoutAddons, ...args], { cwd: folder });
  const log: string[] = [];
  operator.stderr.setEncoding('utf8').on('data', (text: string) => log.push(text));
  try {
    const url = `http://127.0.0.1:${port}`;
    await eventually('it is alive', async () => (await fetch(`${url}/healthz`)).ok).catch(
      (error: unknown) => {
        throw new Error(log.join(''), { cause: error });
      },
    );
    await eventually(
      'it says that it cannot read the Lease',
      async () => (await fetch(`${url}/readyz`)).status === 500,
    );
    const metrics = await (await fetch(`${url}/metrics`)).text();
    assert.match(metrics, /^leader_election_master_status\{name="espalier-operator"\} 0$/m);
    assert.doesNotMatch(metrics + log.join(''), /not-a-secret/);
    const ended = once(operator, 'exit');
    operator.kill('SIGTERM');
    await ended;
  } finally {
    operator.kill('SIGKILL');
  }
});
