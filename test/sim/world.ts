import { pino } from 'pino';
import { seededRandom } from '../../src/base/random.ts';
import type { Random } from '../../src/base/random.ts';
import type { NodeLink } from '../../src/controller/ports.ts';
import type { ModelProfile } from '../../src/planner/types.ts';
import type { ModelDeployment } from '../../src/resources/types.ts';
import { epochOf } from '../../src/store/kubernetes/lease.ts';
import type { Lease } from '../../src/store/kubernetes/lease.ts';
import type { Leadership } from '../../src/store/kubernetes/leader.ts';
import type { ApiRequest } from '../../src/store/kubernetes/transport.ts';
import { profile } from '../planner/builders.ts';
import { fluxFailures } from '../support/flux-checks.ts';
import type { Judged } from '../support/flux-checks.ts';
import { FakeApiServer } from '../support/fake-api-server.ts';
import type { FakeObject } from '../support/fake-api-server.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { simFleet } from '../support/sim-fleet.ts';
import type { SimFleet } from '../support/sim-fleet.ts';
import { BrokenPromise } from './broken-promise.ts';
import { summaryOf } from './describe.ts';
import { faultyNetwork } from './faulty-network.ts';
import { Intents } from './intents.ts';
import { RankLog } from './rank-log.ts';
import { ReplicaClock } from './replica-clock.ts';
import { operate } from './replica.ts';
import type { Replica } from './replica.ts';
import { Trace } from './trace.ts';

const replicas = 2;
/** As a Deployment restarts a container. */
const restartMs = 5000;
/** As long as a Lease lives: then anybody may take it. */
const leaseMs = 15_000;
const logger = pino({ level: process.env['SIM_LOG'] ?? 'silent' });
const deploymentsPath = '/apis/espalier.dev/v1alpha1/namespaces/default/modeldeployments';
const nodesPath = '/apis/espalier.dev/v1alpha1/clusternodes';

/** An API server, two replicas of the operator, and nodes, in simulated time; everything follows from the seed. */
export class World {
  readonly clock = fakeClock();
  readonly trace = new Trace(this.clock);
  readonly random: Random;
  readonly server: FakeApiServer;
  readonly fleet: SimFleet;
  readonly ranks: RankLog;
  readonly intents = new Intents();
  readonly replicas = new Set<Replica>();
  isServerUp = true;
  /** Of the last fault between a replica and the server, or of a replica. */
  disturbedAtMs = 0;
  /** What replicas wrote or commanded though another may have led by then. */
  readonly staleWords: string[] = [];
  /** Of written statuses, the checks that they fail. */
  readonly violations: string[] = [];
  statusesWritten = 0;
  /** Called with every write of a replica before the server has it. */
  onWrite: (request: ApiRequest) => void = () => undefined;
  /** Called with every request of a replica, before the server has it. False: it gets lost. */
  onArrival: (replica: Replica) => boolean = () => true;
  /** Called when the server has acted on a request of a replica. */
  onActed: (replica: Replica) => void = () => undefined;
  /** Called with every deployment as it is stored, and when it is gone. */
  onDeployment: (deployment: ModelDeployment, isGone: boolean) => void = () => undefined;
  #started = 0;
  #highestEpoch = 0;
  #leaseChangedAtMs = 0;
  readonly #summaries = new Map<string, string>();

  /** What is read of every model folder; a Llama of 8 GiB unless it is given. */
  readonly model: ModelProfile;

  constructor(nodeNames: string[], seed: number, model: ModelProfile = profile(8)) {
    this.model = model;
    this.random = seededRandom(seed);
    this.server = new FakeApiServer(this.clock);
    this.server.onChange = (type, object) => this.#stored(type, object);
    this.server.onStatus = (object) => {
      this.statusesWritten += 1;
      this.violations.push(...fluxFailures(object as unknown as Judged));
    };
    this.fleet = simFleet(nodeNames, this.clock, this.random);
    this.ranks = new RankLog(this.fleet, this.clock, this.trace);
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

  revisions(): FakeObject[] {
    return this.server.objects('espalier.dev/modeldeploymentrevisions');
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

  /** Another may lead by now: it lost the Lease, gave it up, or has not renewed it for as long as it lives. */
  isStale({ term, identity, isSilenced }: Replica): boolean {
    if (isSilenced) return true;
    const [lease] = this.server.objects('coordination.k8s.io/leases') as Lease[];
    if (!term || !lease) return false;
    const holderIdentity = lease.spec?.holderIdentity;
    const silentMs = this.clock.monotonicMs() - this.#leaseChangedAtMs;
    return holderIdentity !== identity || epochOf(lease) !== term.epoch || silentMs > leaseMs;
  }

  /** SIGKILL; another starts in its place. What it has sent is still under way. */
  kill(replica: Replica, how = 'is killed'): void {
    if (replica.isDead) return;
    this.trace.note(`${replica.identity} ${how}`);
    replica.isDead = true;
    replica.clock.end();
    replica.network.cutWatches();
    this.disturb();
    this.replicas.delete(replica);
    this.clock.after(restartMs, () => this.#startReplica());
  }

  /** SIGTERM. */
  async stop(replica: Replica): Promise<void> {
    this.trace.note(`${replica.identity} is stopped`);
    this.disturb();
    await replica.controller?.stop();
    replica.isSilenced = true;
    await replica.term?.release();
    this.kill(replica, 'has stopped');
  }

  disturb(): void {
    this.disturbedAtMs = this.clock.monotonicMs();
  }

  /** The nodes take a step, then time passes. */
  async advance(ms: number): Promise<void> {
    this.trace.step += 1;
    this.fleet.step();
    this.ranks.look();
    await this.clock.advance(ms);
  }

  async run(seconds: number): Promise<void> {
    for (let step = 0; step < seconds * 2; step += 1) await this.advance(500);
  }

  async runUntil(what: string, probe: () => boolean, limitSeconds: number): Promise<void> {
    for (let second = 0; second < limitSeconds; second += 1) {
      if (probe()) return;
      await this.run(1);
    }
    const seen = this.deployments().map((each) => summaryOf(each));
    const message = `not within ${limitSeconds} simulated seconds: ${what}; ${seen.join('; ')}`;
    throw new BrokenPromise('no hang', message);
  }

  #startReplica(): void {
    this.#started += 1;
    const identity = `operator-${this.#started}`;
    const clock = new ReplicaClock(this.clock);
    const describe = ({ method, path }: ApiRequest) =>
      `${identity} ${method} ${path.split('?')[0]}`;
    const network = faultyNetwork({
      server: this.server,
      clock: this.clock,
      ownClock: clock,
      random: this.random,
      isServerUp: () => this.isServerUp,
      onSend: (request) => {
        const isLease = request.path.includes('/leases');
        if (request.method !== 'GET' && !isLease) this.#mustLead(replica, describe(request));
      },
      onArrival: (request) => {
        if (request.method !== 'GET') this.onWrite(request);
        return this.onArrival(replica);
      },
      onOutcome: (request, outcome) => {
        const text = `${describe(request)}: ${outcome}`;
        const isRead = request.method === 'GET' || request.path.includes('/leases');
        if (isRead || request.path.includes('/events')) this.trace.noteUnseen(text);
        else this.trace.note(text);
        this.onActed(replica);
      },
    });
    const replica: Replica = {
      identity,
      clock,
      network,
      isLeading: false,
      isDead: false,
      isSilenced: false,
    };
    this.replicas.add(replica);
    this.trace.note(`${identity} starts`);
    this.#operate(replica).catch((error: unknown) => this.kill(replica, `ends: ${String(error)}`));
  }

  async #operate(replica: Replica): Promise<void> {
    await operate(replica, {
      random: this.random,
      logger,
      model: this.model,
      connect: () => this.#nodeLink(replica),
      onTerm: (term) => this.#tookOver(replica, term),
      onLeading: () => {
        this.trace.note(`${replica.identity} has looked at everything`);
        this.disturb();
      },
      onFenced: () => {
        replica.isSilenced = true;
        this.kill(replica, 'is fenced');
      },
    });
  }

  #tookOver(replica: Replica, term: Leadership): void {
    this.trace.note(`${replica.identity} leads, epoch ${term.epoch}`);
    if (term.epoch <= this.#highestEpoch) {
      this.staleWords.push(`${replica.identity} has epoch ${term.epoch} again`);
    }
    this.#highestEpoch = term.epoch;
    term.signal.addEventListener('abort', () => this.kill(replica, 'loses the Lease'));
  }

  #nodeLink(replica: Replica): NodeLink {
    const link = this.fleet.connect({
      isGone: () => replica.isDead,
      isAnswering: () => !replica.clock.isPaused,
    });
    const { identity } = replica;
    return {
      ...link,
      publish: (document) => {
        this.#mustLead(replica, `${identity} publishes for ${document.nodeName}`);
        link.publish(document);
      },
      retract: (nodeName) => {
        this.#mustLead(replica, `${identity} retracts from ${nodeName}`);
        link.retract(nodeName);
      },
      open: () => {
        this.#mustLead(replica, `${identity} opens its hub`);
        link.open();
      },
    };
  }

  #mustLead(replica: Replica, what: string): void {
    if (!replica.isDead && this.isStale(replica)) this.staleWords.push(what);
  }

  #stored(type: string, object: FakeObject): void {
    const { kind, metadata } = object;
    if (kind === 'Lease') this.#leaseChangedAtMs = this.clock.monotonicMs();
    if (kind !== 'ModelDeployment') return;
    const deployment = object as unknown as ModelDeployment;
    const summary = type === 'DELETED' ? 'gone' : summaryOf(deployment);
    if (this.#summaries.get(metadata.name) !== summary) {
      this.#summaries.set(metadata.name, summary);
      this.trace.note(`${metadata.name}: ${summary}`);
    }
    this.onDeployment(deployment, type === 'DELETED');
  }

  #request(method: 'PATCH' | 'DELETE', path: string, body?: unknown): void {
    const { signal } = new AbortController();
    const contentType = 'application/apply-patch+yaml';
    this.server.handle({ method, path, contentType, body, signal });
  }
}
