import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kubeTestPath } from '../../../scripts/setup/kube-test.ts';
import { createAuthority } from '../../support/certificates.ts';
import type { Certificate } from '../../support/certificates.ts';
import { eventually } from '../../support/eventually.ts';
import { restartablePort } from '../../support/restartable-port.ts';
import { send } from './request.ts';
import type { ApiAnswer } from './request.ts';
import { RestartableProcess } from './processes.ts';

const readyTimeoutMs = 90_000;

export type ServerPart = 'etcd' | 'apiserver' | 'controllers';

export interface ApiServerOptions {
  /** Users who are not administrators, by name, with their groups. */
  users?: Record<string, string[]>;
}

export interface ApiServer {
  /** `https://127.0.0.1:<port>`, the same after a restart. */
  readonly url: string;
  /** Of etcd's gateway to JSON: what is written there was never looked at by the server. */
  readonly etcdUrl: string;
  /** PEM. */
  readonly certificateAuthority: string;
  /** Administrator's. */
  readonly kubeconfigPath: string;
  readonly adminToken: string;
  /** Whoever it certifies is let in by name and organization. */
  readonly clientAuthority: Certificate;
  /** Of the process's own; gone with the server. */
  readonly folder: string;
  /** A token of one of `users`, or of the service account `system:serviceaccount:<namespace>:<name>`. */
  tokenFor(user: string): Promise<string>;
  /** A kubeconfig file of that user. */
  kubeconfigFor(user: string): Promise<string>;
  /** One request as the administrator, or with `token`. */
  request(
    method: string,
    path: string,
    body?: unknown,
    options?: RequestOptions,
  ): Promise<ApiAnswer>;
  /** SIGKILL. */
  kill(part: ServerPart): Promise<void>;
  /** Kills it if it runs, starts it with the same port and data, and waits until the server is ready. */
  restart(part: ServerPart): Promise<void>;
  stop(): Promise<void>;
}

export interface RequestOptions {
  token?: string;
  contentType?: string;
}

interface Identity {
  folder: string;
  adminToken: string;
  userTokens: Map<string, string>;
  clientAuthority: Certificate;
}

const newToken = (): string => randomBytes(16).toString('hex');

const writeIdentity = (users: Record<string, string[]>): Identity => {
  const folder = mkdtempSync(join(tmpdir(), 'espalier-kubernetes-'));
  chmodSync(folder, 0o700);
  const adminToken = newToken();
  const userTokens = new Map(Object.keys(users).map((name) => [name, newToken()]));
  const lines = [`${adminToken},admin,admin,"system:masters"`];
  for (const [name, token] of userTokens) {
    lines.push(`${token},${name},${name},"${users[name]?.join(',')}"`);
  }
  writeFileSync(join(folder, 'tokens.csv'), `${lines.join('\n')}\n`);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(
    join(folder, 'service-account.key'),
    privateKey.export({ type: 'sec1', format: 'pem' }),
  );
  const clientAuthority = createAuthority();
  writeFileSync(join(folder, 'client-authority.crt'), clientAuthority.cert);
  return { folder, adminToken, userTokens, clientAuthority };
};

const etcdArguments = (folder: string, port: number, peerPort: number): string[] => [
  'etcd',
  `--data-dir=${join(folder, 'etcd')}`,
  `--listen-client-urls=http://127.0.0.1:${port}`,
  `--advertise-client-urls=http://127.0.0.1:${port}`,
  `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
  `--initial-advertise-peer-urls=http://127.0.0.1:${peerPort}`,
  `--initial-cluster=default=http://127.0.0.1:${peerPort}`,
  // The tests kill the process, not the machine: what it wrote stays in the page cache.
  '--unsafe-no-fsync',
  '--log-level=warn',
];

const apiServerArguments = (folder: string, port: number, etcdPort: number): string[] => [
  'apiserver',
  `--etcd-servers=http://127.0.0.1:${etcdPort}`,
  '--bind-address=127.0.0.1',
  `--secure-port=${port}`,
  `--cert-dir=${join(folder, 'certificates')}`,
  '--service-cluster-ip-range=10.0.0.0/24',
  // The Service named kubernetes would have to point to loopback, which it refuses.
  '--endpoint-reconciler-type=none',
  '--authorization-mode=RBAC',
  `--token-auth-file=${join(folder, 'tokens.csv')}`,
  `--client-ca-file=${join(folder, 'client-authority.crt')}`,
  '--service-account-issuer=https://kubernetes.default.svc',
  `--service-account-key-file=${join(folder, 'service-account.key')}`,
  `--service-account-signing-key-file=${join(folder, 'service-account.key')}`,
  '--disable-admission-plugins=ServiceAccount',
  '--allow-privileged=true',
];

const kubeconfig = (url: string, certificateAuthority: string, token: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'test',
        cluster: {
          server: url,
          'certificate-authority-data': Buffer.from(certificateAuthority).toString('base64'),
        },
      },
    ],
    users: [{ name: 'test', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test', namespace: 'default' } }],
    'current-context': 'test',
  });

/**
 * A Kubernetes API server of this test's own: etcd, kube-apiserver with RBAC, the garbage collector, the namespace
 * and the service account controllers, on loopback, with nothing in it yet. Everything ends with this process.
 */
export const startApiServer = async ({ users = {} }: ApiServerOptions = {}): Promise<ApiServer> => {
  const program = kubeTestPath();
  if (!existsSync(program)) {
    throw new Error(`${program} is not built; npm run test:kubernetes -- --only build does that`);
  }
  const ports = {
    etcd: await restartablePort(),
    etcdPeer: await restartablePort(),
    apiserver: await restartablePort(),
  };
  const server = new LocalApiServer(program, writeIdentity(users), ports);
  try {
    await server.start();
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
};

class LocalApiServer implements ApiServer {
  readonly url: string;
  readonly etcdUrl: string;
  readonly kubeconfigPath: string;
  readonly adminToken: string;
  readonly clientAuthority: Certificate;
  readonly folder: string;
  readonly #userTokens: ReadonlyMap<string, string>;
  readonly #parts: Record<ServerPart, RestartableProcess>;

  constructor(
    program: string,
    { folder, adminToken, userTokens, clientAuthority }: Identity,
    ports: { etcd: number; etcdPeer: number; apiserver: number },
  ) {
    this.folder = folder;
    this.adminToken = adminToken;
    this.clientAuthority = clientAuthority;
    this.#userTokens = userTokens;
    this.url = `https://127.0.0.1:${ports.apiserver}`;
    this.etcdUrl = `http://127.0.0.1:${ports.etcd}`;
    this.kubeconfigPath = join(folder, 'admin.kubeconfig');
    const part = (name: ServerPart, args: string[]): RestartableProcess =>
      new RestartableProcess(program, args, join(folder, `${name}.log`));
    this.#parts = {
      etcd: part('etcd', etcdArguments(folder, ports.etcd, ports.etcdPeer)),
      apiserver: part('apiserver', apiServerArguments(folder, ports.apiserver, ports.etcd)),
      controllers: part('controllers', ['controllers', `--kubeconfig=${this.kubeconfigPath}`]),
    };
  }

  get certificateAuthority(): string {
    return readFileSync(join(this.folder, 'certificates', 'apiserver.crt'), 'utf8');
  }

  async start(): Promise<void> {
    this.#parts.etcd.start();
    this.#parts.apiserver.start();
    await this.#untilReady();
    this.#writeKubeconfig(this.kubeconfigPath, this.adminToken);
    this.#parts.controllers.start();
  }

  async stop(): Promise<void> {
    await Promise.all(Object.values(this.#parts).map(async (part) => part.kill()));
    rmSync(this.folder, { recursive: true, force: true });
  }

  async kill(part: ServerPart): Promise<void> {
    await this.#parts[part].kill();
  }

  async restart(part: ServerPart): Promise<void> {
    await this.kill(part);
    this.#parts[part].start();
    await this.#untilReady();
  }

  async request(
    method: string,
    path: string,
    body?: unknown,
    { token = this.adminToken, contentType = 'application/json' }: RequestOptions = {},
  ): Promise<ApiAnswer> {
    const ca = this.certificateAuthority;
    return send(`${this.url}${path}`, { method, token, ca, contentType, body });
  }

  async tokenFor(user: string): Promise<string> {
    const known = this.#userTokens.get(user);
    if (known !== undefined) return known;
    const [, namespace, name] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(user) ?? [];
    if (namespace === undefined || name === undefined) {
      throw new Error(`${user} is neither one of the server's users nor a service account`);
    }
    const answer = await this.request(
      'POST',
      `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`,
      { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} },
    );
    const token = (answer.body as { status?: { token?: string } }).status?.token;
    if (token === undefined) throw new Error(`no token for ${user}: ${JSON.stringify(answer)}`);
    return token;
  }

  async kubeconfigFor(user: string): Promise<string> {
    const path = join(this.folder, `${user.replaceAll(':', '_')}.kubeconfig`);
    this.#writeKubeconfig(path, await this.tokenFor(user));
    return path;
  }

  #writeKubeconfig(path: string, token: string): void {
    writeFileSync(path, kubeconfig(this.url, this.certificateAuthority, token), { mode: 0o600 });
  }

  async #untilReady(): Promise<void> {
    const ended = (): ServerPart | undefined =>
      (['etcd', 'apiserver'] as const).find((part) => !this.#parts[part].running());
    const ready = async (): Promise<boolean> =>
      ended() !== undefined ||
      ((await this.request('GET', '/readyz')).status === 200 &&
        (await this.request('GET', '/api/v1/namespaces/default')).status === 200);
    const cause = await eventually('the API server is ready', ready, {
      timeoutMs: readyTimeoutMs,
      intervalMs: 50,
    }).then(ended, (error: unknown) => error);
    if (cause === undefined) return;
    const logs = Object.entries(this.#parts).map(([name, part]) => `${name}: ${part.lastLines()}`);
    throw new Error(`the API server is not ready:\n${logs.join('\n')}`, { cause });
  }
}
