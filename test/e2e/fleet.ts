import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import {
  mkdtempSync,
  openSync,
  closeSync,
  readFileSync,
  rmSync,
  writeFileSync,
  mkdirSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { fetchReports } from '../../src/cli/reports.ts';
import type { NodeReport, RankReport } from '../../src/nodedoc/types.ts';
import type { ClusterNode, Condition, ModelDeployment } from '../../src/resources/types.ts';
import { openReadOnly } from '../../src/store/directory/read-only.ts';
import { eventually } from '../support/eventually.ts';
import { restartablePort } from '../support/restartable-port.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const main = join(root, 'src/cli/main.ts');
const testNode = join(root, 'test/support/daemon-main.ts');

/** Longer than a rank's own grace; what has not ended by then is killed, and its ranks fail the test. */
const stopGraceMs = 30_000;

export const nodeYaml = (name: string, spec: Record<string, unknown> = {}): string =>
  `apiVersion: espalier.dev/v1alpha1\nkind: ClusterNode\nmetadata: {name: ${name}}\n` +
  `spec: ${JSON.stringify({ reservedMemory: '1Gi', nodeLostToleranceSeconds: 15, ...spec })}\n`;

export const deploymentYaml = (name: string, spec: Record<string, unknown> = {}): string =>
  `apiVersion: espalier.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: ${name}, namespace: default}\n` +
  `spec: ${JSON.stringify({
    model: { uri: 'file://./examples/models/sprout', servedNames: [name] },
    runtime: { contextLength: 256, maxConcurrentRequests: 2 },
    parallelism: { strategy: 'Tensor', tensorSize: 2 },
    degradation: { allow: ['FewerNodes'] },
    restartPolicy: { maxGroupRestarts: 5, backoffSeconds: 1 },
    ...spec,
  })}\n`;

/**
 * A control plane and node daemons as real processes over a directory of YAML of its own. Nothing restarts
 * what a test kills but the test itself. `stop` ends all of it and fails when a process is left.
 */
export class Fleet {
  readonly folder = mkdtempSync(join(tmpdir(), 'espalier-e2e-'));
  readonly #processes = new Map<string, ChildProcess>();
  readonly #hubPort: number;
  readonly #routerPort: number;

  private constructor(ports: { hub: number; router: number }) {
    this.#hubPort = ports.hub;
    this.#routerPort = ports.router;
    mkdirSync(join(this.folder, 'yaml'));
  }

  static async create(): Promise<Fleet> {
    return new Fleet({ hub: await restartablePort(), router: await restartablePort() });
  }

  get stateDirectory(): string {
    return join(this.folder, 'state');
  }
  get routerUrl(): string {
    return `http://127.0.0.1:${this.#routerPort}`;
  }
  get hubUrl(): string {
    return `http://127.0.0.1:${this.#hubPort}`;
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.folder, 'yaml', file), text);
  }
  remove(file: string): void {
    rmSync(join(this.folder, 'yaml', file));
  }

  startControlPlane(): void {
    this.#start('control-plane', [
      ...['up', '--directory', join(this.folder, 'yaml'), '--state-dir', this.stateDirectory],
      ...['--hub-port', String(this.#hubPort), '--router-port', String(this.#routerPort)],
    ]);
  }

  startNode(name: string): void {
    const dataDirectory = join(this.folder, 'nodes', name);
    this.#start(name, [
      ...['node', '--name', name, '--hub', this.hubUrl],
      ...['--data-dir', dataDirectory, '--stop-ranks'],
    ]);
  }

  /** A node whose ranks compute nothing and answer for as long as they are told; see test-rank.ts. */
  startTestNode(name: string): void {
    const dataDirectory = join(this.folder, 'nodes', name);
    const options = {
      ...{ nodeName: name, hubUrl: this.hubUrl, dataDirectory },
      ...{ stopRanks: true, engineName: 'BuiltIn' },
    };
    this.#start(name, [JSON.stringify(options)], testNode);
  }

  /** SIGKILL to one of the processes that this fleet started, and its end. */
  async kill(name: string): Promise<void> {
    const child = this.#processes.get(name);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await exited;
  }

  /** Waits until exactly these processes are reported as ranks. */
  async runs(pids: readonly number[]): Promise<void> {
    await eventually(`ranks ${pids.join()} and no other`, async () => {
      assert.deepEqual(await this.pids(), pids);
      return true;
    });
  }

  log(name: string): string {
    return readFileSync(join(this.folder, `${name}.log`), 'utf8');
  }

  deployment(name: string): ModelDeployment | undefined {
    return openReadOnly(this.stateDirectory)
      .deployments()
      .find(({ metadata }) => metadata.name === name);
  }
  node(name: string): ClusterNode | undefined {
    return openReadOnly(this.stateDirectory)
      .nodes()
      .find(({ metadata }) => metadata.name === name);
  }
  condition(name: string, type: string): Condition | undefined {
    return this.deployment(name)?.status.conditions.find((each) => each.type === type);
  }

  /** Waits until the deployment is Ready and `also` holds of it. */
  async ready(
    name: string,
    also: (deployment: ModelDeployment) => boolean = () => true,
    timeoutMs = 180_000,
  ): Promise<ModelDeployment> {
    return eventually(
      `${name} Ready`,
      () => {
        const deployment = this.deployment(name);
        if (this.condition(name, 'Ready')?.status !== 'True' || !deployment) {
          throw new Error(JSON.stringify(deployment?.status ?? 'no such deployment', null, 1));
        }
        return also(deployment) && deployment;
      },
      { timeoutMs },
    );
  }

  async ranks(): Promise<{ report: NodeReport; rank: RankReport }[]> {
    return (await fetchReports(this.hubUrl))
      .flatMap(({ report }) => report.ranks.map((rank) => ({ report, rank })))
      .toSorted((left, right) => left.rank.rank - right.rank.rank);
  }

  async pids(): Promise<number[]> {
    return (await this.ranks()).flatMap(({ rank }) => rank.pid ?? []);
  }

  /** A short greedy completion; the HTTP status tells what happened. Never waits longer than 60 s. */
  async complete(model: string, body: Record<string, unknown> = {}): Promise<Response> {
    return fetch(`${this.routerUrl}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, prompt: 'Once', max_tokens: 4, temperature: 0, ...body }),
      signal: AbortSignal.timeout(60_000),
    });
  }

  /** Stdout of a command that looks at this fleet's state. Throws when it fails. */
  async espalier(...args: string[]): Promise<string> {
    const command = [main, ...args, '--state-dir', this.stateDirectory];
    const options = { cwd: root, timeout: 300_000, killSignal: 'SIGKILL' } as const;
    return (await promisify(execFile)(process.execPath, command, options)).stdout;
  }

  async stop(): Promise<void> {
    const pids = await this.pids().catch(() => []);
    const running = [...this.#processes.values()].filter(
      (child) => child.exitCode === null && child.signalCode === null,
    );
    await Promise.all(
      running.map(async (child) => {
        const exited = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGTERM');
        const timer = setTimeout(() => child.kill('SIGKILL'), stopGraceMs);
        await exited;
        clearTimeout(timer);
      }),
    );
    await eventually('all ranks gone', () => pids.every((pid) => !isRunning(pid)));
    rmSync(this.folder, { recursive: true, force: true });
  }

  #start(name: string, args: string[], program = main): void {
    const log = openSync(join(this.folder, `${name}.log`), 'a');
    const child = spawn(process.execPath, [program, ...args], {
      cwd: root,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    this.#processes.set(name, child);
  }
}

export const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/** What /proc says of a process, for messages of failed assertions. */
export const stateOf = (pid: number): string => {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return `${pid} ${/State:.*/.exec(status)?.[0]} ${/PPid:.*/.exec(status)?.[0]} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`;
  } catch (error) {
    return `${pid} ${String(error)}`;
  }
};
