import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../src/cli/quickstart/ports.ts';
import { rankFacts } from '../../src/cli/quickstart/rank-facts.ts';
import { Supervisor } from '../../src/cli/quickstart/supervisor.ts';
import type { Condition, ModelDeployment } from '../../src/resources/types.ts';
import { openReadOnly } from '../../src/store/directory/read-only.ts';
import type { StateView } from '../../src/store/directory/read-only.ts';
import type { BenchModel } from './models.ts';

export interface DeploymentMeasure {
  /** From the moment that the YAML is written to the moment that the state says Ready. */
  readySeconds: number;
  operatorBytes: number;
  /** One value per node daemon. */
  daemonBytes: number[];
  /** One value per rank. */
  rankBytes: number[];
}

const nodeNames = ['mini-1', 'mini-2'];
const services = ['control-plane', ...nodeNames];
const timeoutMs = 120_000;
const stopGraceMs = 20_000;

/** A control plane and two node daemons as processes of their own, over a directory of YAML. */
export class ControlPlane {
  readonly #folder: string;
  readonly #hubUrl: string;
  readonly #supervisor: Supervisor;
  readonly #signal: AbortSignal;

  private constructor(options: { folder: string; hubPort: number; signal: AbortSignal }) {
    this.#folder = options.folder;
    this.#hubUrl = `http://127.0.0.1:${options.hubPort}`;
    this.#signal = options.signal;
    this.#supervisor = new Supervisor({
      logDirectory: join(options.folder, 'logs'),
      workingDirectory: options.folder,
    });
  }

  /** Runs one while `use` works with it. No process and no file is left after it, however it ends. */
  static async while<T>(
    signal: AbortSignal,
    use: (controlPlane: ControlPlane) => Promise<T>,
  ): Promise<T> {
    const folder = await mkdtemp(join(tmpdir(), 'espalier-bench-'));
    const controlPlane = new ControlPlane({ folder, hubPort: await freePort(), signal });
    try {
      await controlPlane.#start();
      return await use(controlPlane);
    } finally {
      await controlPlane.#supervisor.stop(stopGraceMs);
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Resident bytes of the operator with its hub and router. */
  operatorBytes(): number {
    return residentBytes(this.#pid('control-plane'));
  }

  /** Applies a deployment of two tensor ranks, waits until it is Ready, and takes it away again. */
  async measure(model: BenchModel, name: string): Promise<DeploymentMeasure> {
    const file = join(this.#folder, 'yaml', `${name}.yaml`);
    const text = deploymentYaml(model, name);
    const startedMs = performance.now();
    await writeFile(file, text);
    const deployment = await this.#seen(`${name} Ready`, (state) => {
      const found = state.deployments().find(({ metadata }) => metadata.name === name);
      return found && isReady(found.status.conditions) ? found : undefined;
    });
    const readySeconds = (performance.now() - startedMs) / 1000;
    const memory = await this.#memory(deployment);
    await rm(file);
    await this.#seen(`${name} gone`, (state) => state.deployments().length === 0 || undefined);
    return { readySeconds, ...memory };
  }

  async #start(): Promise<void> {
    const directory = join(this.#folder, 'yaml');
    await mkdir(directory);
    await writeFile(join(directory, 'nodes.yaml'), nodeNames.map(nodeYaml).join('---\n'));
    const { port: hubPort } = new URL(this.#hubUrl);
    const up = ['up', '--directory', directory, '--state-dir', join(this.#folder, 'state')];
    const ports = ['--hub-port', hubPort, '--router-port', '0'];
    this.#supervisor.start({ name: 'control-plane', args: [...up, ...ports] });
    for (const name of nodeNames) {
      const node = ['node', '--name', name, '--hub', this.#hubUrl, '--stop-ranks'];
      const dataDirectory = join(this.#folder, 'nodes', name);
      this.#supervisor.start({ name, args: [...node, '--data-dir', dataDirectory] });
    }
    await this.#seen('two nodes Ready', (state) => {
      const ready = state.nodes().filter(({ status }) => isReady(status.conditions));
      return ready.length === nodeNames.length || undefined;
    });
  }

  async #memory(deployment: ModelDeployment): Promise<Omit<DeploymentMeasure, 'readySeconds'>> {
    const ranks = await rankFacts(this.#hubUrl, deployment);
    return {
      operatorBytes: this.operatorBytes(),
      daemonBytes: nodeNames.map((name) => residentBytes(this.#pid(name))),
      rankBytes: ranks.map(({ pid }) => residentBytes(pid)),
    };
  }

  #pid(service: string): number {
    const pid = this.#supervisor.pid(service);
    if (pid === undefined) throw new Error(`${service} does not run`);
    return pid;
  }

  /** Looks at the state every 10 ms until `look` finds what it is after. */
  async #seen<T>(what: string, look: (state: StateView) => T | undefined): Promise<T> {
    const deadlineMs = performance.now() + timeoutMs;
    while (performance.now() < deadlineMs) {
      const failing = services.find((name) => this.#supervisor.restarts(name) > 0);
      if (failing !== undefined) throw new Error(`${failing} ended before ${what}`);
      const value = look(this.#state());
      if (value !== undefined) return value;
      await sleep(10, undefined, { signal: this.#signal });
    }
    throw new Error(`not within ${timeoutMs} ms: ${what}`);
  }

  /** Empty before the control plane has made its state directory. */
  #state(): StateView {
    try {
      return openReadOnly(join(this.#folder, 'state'));
    } catch {
      return nothing;
    }
  }
}

const none = () => [];
const nothing: StateView = {
  deployments: none,
  nodes: none,
  revisions: none,
  events: none,
  problems: none,
  sourceFile: () => undefined,
};

const isReady = (conditions: readonly Condition[] | undefined): boolean =>
  conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;

/** As ps(1) tells it, on Linux and macOS alike, in units of 1024. */
const residentBytes = (pid: number): number =>
  Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)]).toString()) * 1024;

const nodeYaml = (name: string): string =>
  `apiVersion: espalier.dev/v1alpha1
kind: ClusterNode
metadata: { name: ${name} }
spec: { reservedMemory: 1Gi }
`;

const deploymentYaml = (model: BenchModel, name: string): string =>
  `apiVersion: espalier.dev/v1alpha1
kind: ModelDeployment
metadata: { name: ${name}, namespace: default }
spec:
  model: { uri: '${model.uri}', servedNames: [${name}] }
  runtime: { contextLength: 512, maxConcurrentRequests: 1 }
  parallelism: { strategy: Tensor, tensorSize: 2 }
`;
