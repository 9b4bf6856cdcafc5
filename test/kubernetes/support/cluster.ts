import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../../scripts/setup/step.ts';
import { fetchReports } from '../../../src/cli/reports.ts';
import type { RankReport } from '../../../src/nodedoc/types.ts';
import type { ModelDeployment } from '../../../src/resources/types.ts';
import { eventually } from '../../support/eventually.ts';
import { restartablePort } from '../../support/restartable-port.ts';
import type { ApiServer } from './api-server.ts';
import { RestartableProcess } from './processes.ts';

/** Longer than a rank's own grace. */
const stopGraceMs = 30_000;
const operatorNamespace = 'espalier-system';

interface Ports {
  hub: number;
  router: number;
}

/**
 * `espalier operator` over an API server, and `espalier node` daemons that dial into it, as processes. What ends by
 * itself is started again; what a test kills stays away until the test starts it.
 */
export class Cluster {
  readonly #server: ApiServer;
  readonly #ports: Ports;
  readonly #operators = new Map<string, RestartableProcess>();
  readonly #nodes = new Map<string, RestartableProcess>();

  private constructor(server: ApiServer, ports: Ports) {
    this.#server = server;
    this.#ports = ports;
  }

  /** Nothing runs yet; the operator's namespace exists. */
  static async create(server: ApiServer): Promise<Cluster> {
    const { status } = await server.request('POST', '/api/v1/namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: operatorNamespace },
    });
    assert.equal(status, 201);
    return new Cluster(server, { hub: await restartablePort(), router: await restartablePort() });
  }

  get hubUrl(): string {
    return `http://127.0.0.1:${this.#ports.hub}`;
  }

  /** Base URL of the OpenAI-compatible endpoint of whoever leads. */
  get routerUrl(): string {
    return `http://127.0.0.1:${this.#ports.router}/v1`;
  }

  /**
   * A replica of this name, started again if it is not running. Only the one that leads listens, so all have the
   * same ports. Of one name it leads again at once, as the Pods of a StatefulSet do. `checkout`: of another version.
   */
  async launchOperator(name = 'operator-0', checkout = root): Promise<void> {
    const known = this.#operators.get(name);
    const replica =
      known ??
      this.#espalier(
        name,
        [
          'operator',
          ...['--kubeconfig', this.#server.kubeconfigPath, '--namespace', operatorNamespace],
          ...['--identity', name],
          ...['--hub-port', String(this.#ports.hub), '--router-port', String(this.#ports.router)],
          ...['--metrics-port', String(await restartablePort())],
        ],
        checkout,
      );
    this.#operators.set(name, replica);
    replica.start();
  }

  /** Resolves when the hub answers: this replica or another leads, and has read everything. */
  async startOperator(name?: string, checkout?: string): Promise<void> {
    await this.launchOperator(name, checkout);
    await this.untilLed();
  }

  async untilLed(): Promise<void> {
    await eventually('an operator leads', async () => fetchReports(this.hubUrl), {
      timeoutMs: 60_000,
    }).catch((error: unknown) => {
      const logs = [...this.#operators.values()].map((replica) => replica.lastLines());
      throw new Error(logs.join('\n'), { cause: error });
    });
  }

  /** The identity in the Lease. */
  async leader(): Promise<string | undefined> {
    const path = `/apis/coordination.k8s.io/v1/namespaces/${operatorNamespace}/leases/espalier-operator`;
    const { body } = await this.#server.request('GET', path);
    return (body as { spec?: { holderIdentity?: string } }).spec?.holderIdentity;
  }

  /** SIGTERM: it gives the Lease up. */
  async endOperator(name: string): Promise<void> {
    await this.#operators.get(name)?.end(stopGraceMs);
  }

  async killOperator(name = 'operator-0'): Promise<void> {
    await this.#operators.get(name)?.kill();
  }

  /** Of the last time that the replica ended by itself. */
  operatorExitCode(name = 'operator-0'): number | undefined {
    return this.#operators.get(name)?.exitCode();
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
    const reports = await eventually('the hub answers', async () => fetchReports(this.hubUrl), {
      timeoutMs: 60_000,
    });
    return reports.flatMap(({ report }) => report.ranks);
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
    const response = await fetch(`${this.routerUrl}/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, prompt: 'Once', max_tokens: 4, temperature: 0 }),
      signal: AbortSignal.timeout(15_000),
    });
    return { status: response.status, text: await response.text() };
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#nodes.values()].map(async (node) => node.end(stopGraceMs)));
    await Promise.all([...this.#operators.values()].map(async (each) => each.end(stopGraceMs)));
  }

  #espalier(name: string, args: string[], checkout = root): RestartableProcess {
    const command = [join(checkout, 'src/cli/main.ts'), ...args];
    const log = join(this.#server.folder, `${name}.log`);
    return new RestartableProcess(process.execPath, command, log, true);
  }
}
