import { pino } from 'pino';
import type { Random } from '../../src/base/random.ts';
import { seededRandom } from '../../src/base/random.ts';
import type { Controller } from '../../src/controller/controller.ts';
import type { NodeLink } from '../../src/controller/ports.ts';
import type { ModelDeployment } from '../../src/resources/types.ts';
import { createApiClient } from '../../src/store/kubernetes/client.ts';
import { readGroupKey } from '../../src/store/kubernetes/group-key.ts';
import { becomeLeader } from '../../src/store/kubernetes/leader.ts';
import type { Leadership } from '../../src/store/kubernetes/leader.ts';
import type { ApiRequest } from '../../src/store/kubernetes/transport.ts';
import { FakeApiServer } from '../support/fake-api-server.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { simFleet } from '../support/sim-fleet.ts';
import type { SimFleet } from '../support/sim-fleet.ts';
import { controllerOver } from './controller-over.ts';
import { faultyNetwork } from './faulty-network.ts';
import type { Network } from './faulty-network.ts';

/** One replica of the operator. */
export interface Replica {
  identity: string;
  network: Network;
  term?: Leadership;
  controller?: Controller;
  /** It has looked at everything, and nodes get documents from it. */
  isLeading: boolean;
  isDead: boolean;
  /** It was fenced, or has stopped: no node may hear of it any more. */
  isSilenced: boolean;
}

const namespace = 'espalier-system';
const replicas = 2;
/** As a Deployment restarts a container. */
const restartMs = 5000;
const logger = pino({ level: process.env['SIM_LOG'] ?? 'silent' });
const deploymentsPath = '/apis/espalier.dev/v1alpha1/namespaces/default/modeldeployments';
const nodesPath = '/apis/espalier.dev/v1alpha1/clusternodes';

/** An API server, two replicas of the operator, and nodes, in simulated time; everything follows from the seed. */
export class World {
  readonly clock = fakeClock();
  readonly random: Random;
  readonly server: FakeApiServer;
  readonly fleet: SimFleet;
  readonly replicas = new Set<Replica>();
  /** Of the last fault between a replica and the server, or of a replica. */
  disturbedAtMs = 0;
  /** Identities used, for the log of a failing seed. */
  started = 0;
  /** What no replica may ever do, as it was done. */
  readonly violations: string[] = [];
  /** Called with every write of a replica before the server has it. */
  onWrite: (request: ApiRequest) => void = () => undefined;

  constructor(nodeNames: string[], seed: number) {
    this.random = seededRandom(seed);
    this.server = new FakeApiServer(this.clock);
    this.fleet = simFleet(nodeNames, this.clock, this.random);
    for (let index = 0; index < replicas; index += 1) this.#startReplica();
  }

  /** What a user writes with kubectl apply. */
  apply(kind: 'ModelDeployment' | 'ClusterNode', name: string, spec: unknown): void {
    const isNode = kind === 'ClusterNode';
    this.#request('PATCH', `${isNode ? nodesPath : deploymentsPath}/${name}`, {
      apiVersion: 'espalier.dev/v1alpha1',
      kind,
      metadata: { name, ...(isNode ? {} : { namespace: 'default' }) },
      spec,
    });
  }

  delete(name: string): void {
    this.#request('DELETE', `${deploymentsPath}/${name}`);
  }

  deleteNode(name: string): void {
    this.#request('DELETE', `${nodesPath}/${name}`);
  }

  deleteRevision(name: string): void {
    const revisions = deploymentsPath.replace('modeldeployments', 'modeldeploymentrevisions');
    this.#request('DELETE', `${revisions}/${name}`);
  }

  hasRevision(name: string): boolean {
    const revisions = this.server.objects('espalier.dev/modeldeploymentrevisions');
    return revisions.some(({ metadata }) => metadata.name === name);
  }

  deployment(name: string): ModelDeployment | undefined {
    return this.deployments().find(({ metadata }) => metadata.name === name);
  }

  deployments(): ModelDeployment[] {
    return this.server.objects('espalier.dev/modeldeployments') as unknown as ModelDeployment[];
  }

  leader(): Replica | undefined {
    return [...this.replicas].find(({ isLeading, isDead }) => isLeading && !isDead);
  }

  /** SIGKILL; another starts in its place. */
  kill(replica: Replica): void {
    if (replica.isDead) return;
    replica.isDead = true;
    replica.network.isDown = true;
    this.disturb();
    this.replicas.delete(replica);
    // Its hub went with it.
    if (replica.controller) this.fleet.connect();
    // Only so that the dead use no time: nothing that they do gets anywhere.
    void replica.controller?.stop();
    void replica.term?.release();
    this.clock.after(restartMs, () => this.#startReplica());
  }

  /** SIGTERM. */
  async stop(replica: Replica): Promise<void> {
    this.disturb();
    await replica.controller?.stop();
    replica.isSilenced = true;
    await replica.term?.release();
    this.kill(replica);
  }

  disturb(): void {
    this.disturbedAtMs = this.clock.monotonicMs();
  }

  async run(seconds: number): Promise<void> {
    for (let step = 0; step < seconds * 2; step += 1) {
      this.fleet.step();
      await this.clock.advance(500);
    }
  }

  async runUntil(what: string, probe: () => boolean, limitSeconds: number): Promise<void> {
    for (let second = 0; second < limitSeconds; second += 1) {
      if (probe()) return;
      await this.run(1);
    }
    const seen = this.deployments().map(({ metadata, spec, status }) =>
      JSON.stringify([metadata, spec, status.conditions, status.groups]),
    );
    throw new Error(`not within ${limitSeconds} simulated seconds: ${what}\n${seen.join('\n')}`);
  }

  #startReplica(): void {
    this.started += 1;
    const replica: Replica = {
      identity: `operator-${this.started}`,
      network: faultyNetwork(this.server, this.clock, this.random),
      isLeading: false,
      isDead: false,
      isSilenced: false,
    };
    replica.network.onWrite = (request) => this.onWrite(request);
    this.replicas.add(replica);
    this.#operate(replica).catch((error: unknown) => {
      logger.warn({ identity: replica.identity, error: String(error) }, 'replica ended');
      this.kill(replica);
    });
  }

  /** What src/cli/kubernetes-operator.ts composes, with simulated nodes. */
  async #operate(replica: Replica): Promise<void> {
    const { clock, random } = this;
    const newClient = () =>
      createApiClient({ transport: replica.network.transport, clock, random });
    const { signal } = new AbortController();
    const { identity } = replica;
    const term = await becomeLeader(
      { client: newClient(), namespace, identity, clock, random, logger },
      signal,
    );
    if (replica.isDead) return term.release();
    replica.term = term;
    term.signal.addEventListener('abort', () => this.kill(replica));
    const client = newClient();
    const groupSecretKey = await readGroupKey(client, namespace, term.signal);
    replica.controller = controllerOver({
      client,
      term,
      groupSecretKey,
      identity,
      nodeLink: this.#nodeLink(replica),
      clock,
      random,
      logger,
      onFenced: () => {
        replica.isSilenced = true;
        this.kill(replica);
      },
    });
    await replica.controller.start();
    replica.isLeading = true;
    this.disturb();
  }

  #nodeLink(replica: Replica): NodeLink {
    const link = this.fleet.connect();
    const note = (what: string) => {
      if (replica.isSilenced) this.violations.push(`${replica.identity} ${what} after its end`);
    };
    return {
      ...link,
      publish: (document) => {
        note(`publishes for ${document.nodeName}`);
        link.publish(document);
      },
      retract: (nodeName) => {
        note(`retracts from ${nodeName}`);
        link.retract(nodeName);
      },
    };
  }

  #request(method: 'PATCH' | 'DELETE', path: string, body?: unknown): void {
    const { signal } = new AbortController();
    const contentType = 'application/apply-patch+yaml';
    this.server.handle({ method, path, contentType, body, signal });
  }
}
