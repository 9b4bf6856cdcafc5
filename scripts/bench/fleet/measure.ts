import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ModelDeployment } from '../../../src/resources/types.ts';
import { spec, node } from '../../../test/planner/builders.ts';
import type { HttpApiServer } from './api-server.ts';
import type { DocumentNews, Nodes } from './nodes.ts';
import type { OperatorProcess } from './operator-process.ts';

const sprout = new URL('../../../examples/models/sprout', import.meta.url);
const basePath = '/apis/espalier.dev/v1alpha1';
const limitMs = 300_000;
/** Between two changes, so that one is measured at a time; what follows of it runs on. */
const pauseMs = 100;
const quietMs = 5000;

interface Percentiles {
  count: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

export interface FleetResult {
  nodes: number;
  deployments: number;
  /** From the start of the first operator over an empty state, nodes already reporting. */
  firstReadySeconds: number;
  /** From the spec's acceptance by the API server to the arrival of a changed document at a node. */
  changes: Record<string, Percentiles>;
  /** Of the operator, for each change with all that followed; other work on the machine hardly disturbs it. */
  processorMsPerChange: number;
  residentBytes: number;
  heapBytes: number;
  idle: { writesPerMinute: number; leaseWritesPerMinute: number; processorShare: number };
  /** From the start of the process; the one before was sent SIGTERM. */
  restart: {
    readySeconds: number;
    answeredSeconds: number;
    changedDocuments: number;
    writes: number;
  };
}

interface FleetBenchOptions {
  api: HttpApiServer;
  operator: OperatorProcess;
  nodes: Nodes;
  nodeNames: readonly string[];
  deployments: readonly string[];
  note: (text: string) => void;
}

export class FleetBench {
  readonly #options: FleetBenchOptions;
  readonly #specs = new Map<string, ModelDeployment['spec']>();
  #residentBytes = 0;
  #heapBytes = 0;
  #processorMsPerChange = 0;

  constructor(options: FleetBenchOptions) {
    this.#options = options;
  }

  async run({ changes, idleSeconds }: { changes: number; idleSeconds: number }) {
    const { nodeNames, deployments } = this.#options;
    const result: FleetResult = {
      nodes: nodeNames.length,
      deployments: deployments.length,
      firstReadySeconds: await this.#firstStart(),
      changes: await this.#changeSpecs(changes),
      idle: await this.#idle(idleSeconds),
      restart: await this.#restart(),
      processorMsPerChange: this.#processorMsPerChange,
      residentBytes: this.#residentBytes,
      heapBytes: this.#heapBytes,
    };
    return result;
  }

  async #firstStart(): Promise<number> {
    const { nodeNames, deployments, operator, nodes, note } = this.#options;
    for (const name of nodeNames) this.#apply('ClusterNode', name, node(name).spec);
    for (const [index, name] of deployments.entries()) {
      // Every fifth runs on two Macs.
      const parallelism =
        index % 5 === 0
          ? { strategy: 'Pipeline' as const, pipelineSize: 2 }
          : { strategy: 'Single' as const };
      this.#applyDeployment(name, spec({ parallelism, model: this.#model(name) }));
    }
    const startMs = performance.now();
    operator.start();
    nodes.start();
    await this.#until('every deployment is Ready', async () => this.#unready() === 0);
    const seconds = (performance.now() - startMs) / 1000;
    note(`all Ready after ${seconds.toFixed(1)} s`);
    await this.#quiet();
    return seconds;
  }

  async #changeSpecs(count: number): Promise<Record<string, Percentiles>> {
    const { deployments, note, operator } = this.#options;
    const contexts: number[] = [];
    const replicas: number[] = [];
    const processorBefore = await operator.processorSeconds();
    for (let index = 0; index < count; index += 1) {
      const name = deployments[(index * 37) % deployments.length]!;
      const known = this.#specs.get(name)!;
      if (index % 2 === 0) {
        const contextLength = 256 + (index % 16) * 16;
        const runtime = { ...known.runtime, contextLength };
        contexts.push(await this.#change(name, { ...known, runtime }));
      } else {
        const next = known.replicas === 1 ? 2 : 1;
        replicas.push(await this.#change(name, { ...known, replicas: next }));
      }
      if (index % 50 === 49) await this.#measureMemory();
      await sleep(pauseMs);
    }
    note(`${count} changes done`);
    await this.#until('every deployment is Ready again', async () => this.#unready() === 0);
    const processorSeconds = (await operator.processorSeconds()) - processorBefore;
    this.#processorMsPerChange = (processorSeconds * 1000) / count;
    await this.#quiet();
    return {
      'change of contextLength': percentiles(contexts),
      'change of replicas': percentiles(replicas),
      'any change': percentiles([...contexts, ...replicas]),
    };
  }

  async #change(name: string, next: ModelDeployment['spec']): Promise<number> {
    const { nodes } = this.#options;
    const arrived = Promise.withResolvers<number>();
    nodes.onDocument = (news) => {
      if (ranksOf(name, news.document) !== ranksOf(name, news.before)) arrived.resolve(news.atMs);
    };
    this.#applyDeployment(name, next);
    const startMs = performance.now();
    const timer = setTimeout(
      () => arrived.reject(new Error(`no new document of ${name}`)),
      limitMs,
    );
    const atMs = await arrived.promise;
    clearTimeout(timer);
    nodes.onDocument = () => undefined;
    return atMs - startMs;
  }

  async #idle(seconds: number): Promise<FleetResult['idle']> {
    const { operator, note } = this.#options;
    const before = this.#writes();
    const processorBefore = await operator.processorSeconds();
    await sleep(seconds * 1000);
    const after = this.#writes();
    const processor = (await operator.processorSeconds()) - processorBefore;
    await this.#measureMemory();
    note(`idle for ${seconds} s`);
    const perMinute = (count: number) => Math.round((count * 60) / seconds);
    return {
      writesPerMinute: perMinute(after.all - before.all),
      leaseWritesPerMinute: perMinute(after.leases - before.leases),
      processorShare: processor / seconds,
    };
  }

  async #restart(): Promise<FleetResult['restart']> {
    const { operator, nodes, nodeNames, note } = this.#options;
    await operator.stop();
    const versions = new Map([...nodes.documents].map(([name, { version }]) => [name, version]));
    const before = this.#writes();
    const lastEpoch = Math.max(...nodes.epochs.values());
    let changedDocuments = 0;
    nodes.onDocument = ({ nodeName, document }) => {
      if (document.version !== versions.get(nodeName)) changedDocuments += 1;
    };
    const startMs = performance.now();
    const since = () => (performance.now() - startMs) / 1000;
    operator.start();
    await this.#until('the operator is ready', async () => operator.isReady());
    const readySeconds = since();
    const isAnswered = (name: string) => (nodes.epochs.get(name) ?? 0) > lastEpoch;
    await this.#until('every node was answered', async () => nodeNames.every(isAnswered));
    const answeredSeconds = since();
    note(`restarted within ${answeredSeconds.toFixed(1)} s`);
    await this.#quiet();
    await this.#measureMemory();
    const after = this.#writes();
    const writes = after.all - after.leases - (before.all - before.leases);
    return { readySeconds, answeredSeconds, changedDocuments, writes };
  }

  /** Nothing but Leases was written for a while. */
  async #quiet(): Promise<void> {
    let last = -1;
    let sinceMs = performance.now();
    await this.#until('nothing is written any more', async () => {
      const { all, leases } = this.#writes();
      if (all - leases !== last) sinceMs = performance.now();
      last = all - leases;
      return performance.now() - sinceMs >= quietMs;
    });
  }

  #writes(): { all: number; leases: number } {
    const { writes } = this.#options.api.server;
    const all = [...writes];
    return { all: sum(all), leases: sum(all.filter(([name]) => name.endsWith('/leases'))) };
  }

  async #measureMemory(): Promise<void> {
    const { residentBytes, heapBytes } = await this.#options.operator.memory();
    this.#residentBytes = Math.max(this.#residentBytes, residentBytes);
    this.#heapBytes = Math.max(this.#heapBytes, heapBytes);
  }

  async #until(what: string, probe: () => Promise<boolean>): Promise<void> {
    const deadlineMs = performance.now() + limitMs;
    while (!(await probe())) {
      if (performance.now() > deadlineMs)
        throw new Error(`not within ${limitMs / 1000} s: ${what}`);
      await sleep(100);
    }
  }

  #unready(): number {
    const { server } = this.#options.api;
    const all = server.objects('espalier.dev/modeldeployments') as unknown as ModelDeployment[];
    return all.filter(({ metadata, status }) => {
      const ready = status.conditions.find(({ type }) => type === 'Ready');
      return ready?.status !== 'True' || status.observedGeneration !== metadata.generation;
    }).length;
  }

  #model(name: string): ModelDeployment['spec']['model'] {
    return { uri: `file://${fileURLToPath(sprout)}`, servedNames: [name] };
  }

  #applyDeployment(name: string, next: ModelDeployment['spec']): void {
    this.#specs.set(name, next);
    this.#apply('ModelDeployment', name, next);
  }

  #apply(kind: 'ModelDeployment' | 'ClusterNode', name: string, body: unknown): void {
    const isNode = kind === 'ClusterNode';
    const collection = isNode ? 'clusternodes' : 'namespaces/default/modeldeployments';
    const response = this.#options.api.server.handle({
      method: 'PATCH',
      path: `${basePath}/${collection}/${name}`,
      contentType: 'application/apply-patch+yaml',
      body: {
        apiVersion: 'espalier.dev/v1alpha1',
        kind,
        metadata: { name, ...(isNode ? {} : { namespace: 'default' }) },
        spec: body,
      },
      signal: AbortSignal.timeout(limitMs),
    });
    if (response.status >= 300) throw new Error(`${kind} ${name}: ${response.status}`);
  }
}

const sum = (entries: [string, number][]): number =>
  entries.reduce((total, [, count]) => total + count, 0);

const ranksOf = (deployment: string, document: DocumentNews['document'] | undefined): string =>
  JSON.stringify(document?.ranks.filter((rank) => rank.deployment === deployment) ?? []);

const percentiles = (values: readonly number[]): Percentiles => {
  const sorted = values.toSorted((left, right) => left - right);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
  return { count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
};
