import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { registryPausesSeconds, root, runStep } from './step.ts';

const source = join(root, 'test/kubernetes/apiserver');
const cache = join(root, '.cache/kubernetes');
const buildDeadlineMs = 30 * 60_000;

/** The versions of kubectl that the tests run beside the server's own, each a Go module of its own. */
export const olderKubectls = (): string[] =>
  readdirSync(source)
    .filter((name) => name.startsWith('kubectl-'))
    .map((name) => name.slice('kubectl-'.length))
    .toSorted();

/** Says which version it is, which a build from a checkout would know: kubectl and its server compare theirs. */
const linkerFlags = (module: string): string => {
  const versions = readFileSync(join(module, 'go.mod'), 'utf8').matchAll(
    /k8s\.io\/kubectl v0\.(?<minor>\d+)\.(?<patch>\d+)/g,
  );
  // A replacement comes after what it replaces.
  const { minor, patch } = [...versions].at(-1)?.groups ?? {};
  const values = { gitVersion: `v1.${minor}.${patch}`, gitMajor: '1', gitMinor: String(minor) };
  const settings = Object.entries(values).map(
    ([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`,
  );
  return ['-s', '-w', ...settings].join(' ');
};

/** Where the binary built from this module's files is, or will be: another content is another place. */
const binaryOf = (module: string, name: string): string => {
  const hash = createHash('sha256').update(process.platform).update(process.arch);
  hash.update(linkerFlags(module));
  for (const file of readdirSync(module, { withFileTypes: true })) {
    if (!file.isFile()) continue;
    hash.update(`\n${file.name}\n`).update(readFileSync(join(module, file.name)));
  }
  return join(cache, `${name}-${hash.digest('hex').slice(0, 16)}`, name);
};

/** The program with etcd, the API server, its controllers, kubectl and kstatus in it. */
export const kubeTestPath = (): string => binaryOf(source, 'kube-test');

export const olderKubectlPath = (version: string): string =>
  binaryOf(join(source, `kubectl-${version}`), 'kubectl');

/** Prometheus' own parser of its language. */
export const promqlPath = (): string => binaryOf(join(source, '../promql'), 'promql');

const build = (title: string, module: string, binary: string): void => {
  if (existsSync(binary)) return;
  mkdirSync(dirname(binary), { recursive: true });
  const partial = `${binary}.${process.pid}`;
  runStep(
    title,
    'go',
    ['-C', module, 'build', '-trimpath', `-ldflags=${linkerFlags(module)}`, '-o', partial, '.'],
    {
      env: {
        CGO_ENABLED: '0',
        GOCACHE: join(cache, 'gocache'),
        GOFLAGS: '-buildvcs=false',
        GOTOOLCHAIN: 'local',
      },
      deadlineMs: buildDeadlineMs,
      pausesSeconds: registryPausesSeconds,
    },
  );
  renameSync(partial, binary);
};

/** The minor version of Go 1 on this machine, or undefined without one. */
const goMinor = (): number | undefined => {
  const { stdout } = spawnSync('go', ['env', 'GOVERSION'], {
    encoding: 'utf8',
    env: { ...process.env, GOTOOLCHAIN: 'local' },
  });
  const minor = /^go1\.(\d+)/.exec(stdout ?? '')?.[1];
  return minor === undefined ? undefined : Number(minor);
};

/** Builds what is not built yet. Returns why it cannot, if it cannot. */
export const buildKubeTest = (): string | undefined => {
  const wanted = [
    { title: 'Building the Kubernetes API server', module: source, binary: kubeTestPath() },
    {
      title: 'Building the parser of PromQL',
      module: join(source, '../promql'),
      binary: promqlPath(),
    },
    ...olderKubectls().map((version) => ({
      title: `Building kubectl ${version}`,
      module: join(source, `kubectl-${version}`),
      binary: olderKubectlPath(version),
    })),
  ].filter(({ binary }) => !existsSync(binary));
  if (wanted.length === 0) return undefined;
  const minor = goMinor();
  if (minor === undefined) return 'Go is not installed; 1.26 or newer builds the API server';
  if (minor < 26) return `Go 1.${minor} is too old; 1.26 or newer builds the API server`;
  for (const { title, module, binary } of wanted) build(title, module, binary);
  prune();
  return undefined;
};

/** Builds of other sources than today's, 100 MB each. Only after a build, so that two checkouts may share a cache. */
const prune = (): void => {
  const kept = [kubeTestPath(), ...olderKubectls().map(olderKubectlPath)].map((binary) =>
    basename(dirname(binary)),
  );
  for (const name of readdirSync(cache)) {
    if (!/^(kube-test|kubectl)-[0-9a-f]{16}$/.test(name) || kept.includes(name)) continue;
    rmSync(join(cache, name), { recursive: true });
  }
};
