import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../../scripts/setup/step.ts';
import { fetchReports } from '../../../src/cli/reports.ts';
import type { RankReport } from '../../../src/nodedoc/types.ts';
import type { ModelDeployment } from '../../../src/resources/types.ts';
import { eventually } from '../../support/eventually.ts';
import type { ApiServer } from './api-server.ts';
import { RestartableProcess, restartablePort } from './processes.ts';

/** Longer than a rank's own grace. */
const stopGraceMs = 30_000;
export const operatorNamespace = 'espalier-system';

interface Ports {
  hub: number;
  router: number;
  metrics: number;
}

/**
 * `espalier operator` over an API server, and `espalier node` daemons that dial into it, as processes. Nothing
 * restarts what a test kills but the test.
 */
export class Cluster {
  readonly #server: ApiServer;
  readonly #ports: Ports;
  readonly #operator: RestartableProcess;
  readonly #nodes = new Map<string, RestartableProcess>();

  private constructor(server: ApiServer, ports: Ports) {
    this.#server = server;
    this.#ports = ports;
    this.#operator = this.#espalier('operator', [
      'operator',
      ...['--kubeconfig', server.kubeconfigPath, '--namespace', operatorNamespace],
      // As a Pod of a StatefulSet has: the next start leads at once.
      ...['--identity', 'test'],
      ...['--hub-port', String(ports.hub), '--router-port', String(ports.router)],
      ...['--metrics-port', String(ports.metrics)],
    ]);
  }

  /** Nothing runs yet; the operator's namespace exists. */
  static async create(server: ApiServer): Promise<Cluster> {
    const { status } = await server.request('POST', '/api/v1/namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: operatorNamespace },
    });
    assert.equal(status, 201);
    return new Cluster(server, {
      hub: await restartablePort(),
      router: await restartablePort(),
      metrics: await restartablePort(),
    });
  }

  get hubUrl(): string {
    return `http://127.0.0.1:${this.#ports.hub}`;
  }
  get metricsUrl(): string {
    return `http://127.0.0.1:${this.#ports.metrics}`;
  }

  /** Resolves when the hub answers: it is the leader, and has read everything. */
  async startOperator(): Promise<void> {
    this.#operator.start();
    await eventually('the operator leads', async () => fetchReports(this.hubUrl), {
      timeoutMs: 60_000,
    }).catch((error: unknown) => {
      throw new Error(this.#operator.lastLines(), { cause: error });
    });
  }

  async killOperator(): Promise<void> {
    await this.#operator.kill();
  }

  operatorLog(): string {
    return this.#operator.lastLines(60);
  }

  startNode(name: string): void {
    const dataDirectory = join(this.#server.folder, 'nodes', name);
    mkdirSync(dataDirectory, { recursive: true });
    const node = this.#espalier(name, [
      ...['node', '--name', name, '--hub', this.hubUrl],
      ...['--data-dir', dataDirectory, '--stop-ranks'],
    ]);
    this.#nodes.set(name, node);
    node.start();
  }

  /** What the nodes report, each rank once. */
  async ranks(): Promise<RankReport[]> {
    return (await fetchReports(this.hubUrl)).flatMap(({ report }) => report.ranks);
  }

  async pids(): Promise<number[]> {
    return (await this.ranks()).flatMap(({ pid }) => pid ?? []).toSorted((a, b) => a - b);
  }

  async deployment(name: string): Promise<ModelDeployment> {
    const path = `/apis/espalier.dev/v1alpha1/namespaces/default/modeldeployments/${name}`;
    const { status, body } = await this.#server.request('GET', path);
    assert.equal(status, 200, JSON.stringify(body));
    return body as ModelDeployment;
  }

  /** A short greedy completion. Never waits longer than 15 s; a router that is not there rejects. */
  async complete(model: string): Promise<{ status: number; text: string }> {
    const response = await fetch(`http://127.0.0.1:${this.#ports.router}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, prompt: 'Once', max_tokens: 4, temperature: 0 }),
      signal: AbortSignal.timeout(15_000),
    });
    return { status: response.status, text: await response.text() };
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#nodes.values()].map(async (node) => node.end(stopGraceMs)));
    await this.#operator.end(stopGraceMs);
  }

  #espalier(name: string, args: string[]): RestartableProcess {
    const main = join(root, 'src/cli/main.ts');
    return new RestartableProcess(
      process.execPath,
      [main, ...args],
      join(this.#server.folder, `${name}.log`),
    );
  }
}
