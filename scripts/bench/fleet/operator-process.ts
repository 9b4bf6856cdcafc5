import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort } from '../../../src/cli/quickstart/ports.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
/** As the package has it: built, and without an option of Node's. */
const command = [join(root, 'dist/cli/main.js'), 'operator'];
const stopGraceMs = 20_000;

/** `espalier operator` as a process of its own. */
export class OperatorProcess {
  readonly #folder: string;
  readonly #ports: { hub: number; router: number; metrics: number };
  readonly #nodeArguments: string[];
  #child: ChildProcess | undefined;

  private constructor(
    folder: string,
    ports: { hub: number; router: number; metrics: number },
    profileFolder: string | undefined,
  ) {
    this.#folder = folder;
    this.#ports = ports;
    this.#nodeArguments =
      profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`];
  }

  /** Builds it first. */
  static async prepare(apiUrl: string, profileFolder?: string): Promise<OperatorProcess> {
    await promisify(execFile)(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json'], {
      cwd: root,
    });
    const folder = await mkdtemp(join(tmpdir(), 'espalier-fleet-'));
    await writeFile(join(folder, 'kubeconfig'), kubeconfig(apiUrl));
    const ports = { hub: await freePort(), router: await freePort(), metrics: await freePort() };
    return new OperatorProcess(folder, ports, profileFolder);
  }

  get hubUrl(): string {
    return `http://127.0.0.1:${this.#ports.hub}`;
  }

  start(): void {
    const { hub, router, metrics } = this.#ports;
    const ports = ['--hub-port', hub, '--router-port', router, '--metrics-port', metrics];
    const config = ['--kubeconfig', join(this.#folder, 'kubeconfig')];
    const args = [...this.#nodeArguments, ...command, ...config, ...ports].map(String);
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr.pipe(createWriteStream(join(this.#folder, 'log'), { flags: 'a' }));
    this.#child = child;
  }

  /** SIGTERM, and the end of the process. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    const kill = setTimeout(() => child.kill('SIGKILL'), stopGraceMs);
    await exited;
    clearTimeout(kill);
  }

  async dispose(): Promise<void> {
    await this.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async isReady(): Promise<boolean> {
    try {
      return (await fetch(`http://127.0.0.1:${this.#ports.metrics}/readyz`)).ok && this.#leads();
    } catch {
      return false;
    }
  }

  /** Bytes that are resident, and that live in the heap. */
  async memory(): Promise<{ residentBytes: number; heapBytes: number }> {
    const text = await this.#metrics();
    return {
      residentBytes: sample(text, 'process_resident_memory_bytes'),
      heapBytes: sample(text, 'nodejs_heap_size_used_bytes'),
    };
  }

  /** Seconds of processor time since its start. */
  async processorSeconds(): Promise<number> {
    return sample(await this.#metrics(), 'process_cpu_seconds_total');
  }

  async log(): Promise<string> {
    return readFile(join(this.#folder, 'log'), 'utf8');
  }

  async #leads(): Promise<boolean> {
    return sample(await this.#metrics(), 'leader_election_master_status') === 1;
  }

  async #metrics(): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.#ports.metrics}/metrics`);
    return response.text();
  }
}

const sample = (text: string, name: string): number => {
  const line = text.split('\n').find((each) => new RegExp(`^${name}[ {]`).test(each));
  return Number(line?.split(' ').at(-1));
};

const kubeconfig = (server: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'fake', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'bench', user: { token: 'bench' } }],
    contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'bench' } }],
    'current-context': 'fake',
  });
