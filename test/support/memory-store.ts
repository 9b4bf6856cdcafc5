import { EspalierError } from '../../src/base/errors.ts';
import type {
  EventInput,
  ObjectKey,
  SpecProblem,
  Store,
  StoredEvent,
} from '../../src/controller/ports.ts';
import type {
  ClusterNode,
  ClusterNodeSpec,
  ModelDeployment,
  ModelDeploymentRevision,
  ModelDeploymentSpec,
  ObjectMeta,
} from '../../src/resources/types.ts';

type Stored = ModelDeployment | ClusterNode;

/** State that outlives control planes, in memory, with the hand of the user on it. */
export class MemoryState {
  readonly revisionsByName = new Map<string, ModelDeploymentRevision>();
  readonly #objects = new Map<string, Stored>();
  readonly #events: StoredEvent[] = [];
  readonly #now: () => Date;
  problems: SpecProblem[] = [];
  /** Start count; the store that was opened last has it. */
  epoch = 0;
  /** Writes of any status so far. */
  statusWrites = 0;
  listener: (key: ObjectKey) => void = () => {};
  #uids = 0;
  #fault: Error | undefined;

  constructor(now: () => Date) {
    this.#now = now;
  }

  /** A new start: stores opened before are fenced from their next write on. */
  open(): Store {
    this.epoch += 1;
    return new MemoryStore(this, this.epoch);
  }

  applyDeployment(name: string, spec: ModelDeploymentSpec): void {
    this.#apply({ kind: 'ModelDeployment', namespace: 'default', name }, spec, {
      observedGeneration: -1,
      conditions: [],
      replicas: 0,
      readyReplicas: 0,
      updatedReplicas: 0,
      availableReplicas: 0,
      groups: [],
    });
  }

  applyNode(name: string, spec: ClusterNodeSpec): void {
    this.#apply({ kind: 'ClusterNode', name }, spec, {
      observedGeneration: -1,
      conditions: [],
      links: [],
      engines: [],
      cachedModels: [],
      ranks: [],
    });
  }

  /** Deletes as a user does: finalizers run first. */
  delete(key: ObjectKey): void {
    const object = this.get(key);
    if (!object) return;
    if ((object.metadata.finalizers ?? []).length === 0) return this.drop(key);
    this.changeMetadata(key, { deletionTimestamp: this.#now().toISOString() });
    this.listener(key);
  }

  setProblems(problems: SpecProblem[]): void {
    const touched = [...this.problems, ...problems];
    this.problems = problems;
    for (const { key } of touched) if (key) this.listener(key);
  }

  /** While set, writes reject with this error. */
  failWith(error: Error | undefined): void {
    this.#fault = error;
  }

  deployments(): ModelDeployment[] {
    return [...this.#objects.values()].filter((object) => object.kind === 'ModelDeployment');
  }

  nodes(): ClusterNode[] {
    return [...this.#objects.values()].filter((object) => object.kind === 'ClusterNode');
  }

  deployment(name: string): ModelDeployment | undefined {
    return this.deployments().find(({ metadata }) => metadata.name === name);
  }

  node(name: string): ClusterNode | undefined {
    return this.nodes().find(({ metadata }) => metadata.name === name);
  }

  revisions(): ModelDeploymentRevision[] {
    return [...this.revisionsByName.values()];
  }

  events(): StoredEvent[] {
    return this.#events;
  }

  recordEvent(event: EventInput): void {
    const known = this.#events.find((each) => identity(each) === identity(event));
    const time = this.#now().toISOString();
    if (known) Object.assign(known, { count: known.count + 1, lastTimestamp: time });
    else this.#events.push({ ...event, count: 1, firstTimestamp: time, lastTimestamp: time });
  }

  get(key: ObjectKey): Stored | undefined {
    return this.#objects.get(textOf(key));
  }

  /** Keeps the object and tells nobody: who writes is not told of its own writes. */
  put(key: ObjectKey, object: Stored): void {
    this.#objects.set(textOf(key), structuredClone(object));
  }

  changeMetadata(key: ObjectKey, metadata: Partial<ObjectMeta>): void {
    const object = this.get(key);
    if (!object) return;
    this.put(key, { ...object, metadata: { ...object.metadata, ...metadata } });
  }

  drop(key: ObjectKey): void {
    this.#objects.delete(textOf(key));
    for (const [name, revision] of this.revisionsByName) {
      if (key.kind === 'ModelDeployment' && ownerName(revision) === key.name) {
        this.revisionsByName.delete(name);
      }
    }
    this.listener(key);
  }

  /** Throws what a write of this epoch meets. */
  checkWrite(epoch: number): void {
    if (epoch !== this.epoch) throw new EspalierError('EpochFenced', 'a newer one writes');
    if (this.#fault) throw this.#fault;
  }

  #apply(key: ObjectKey, spec: unknown, emptyStatus: unknown): void {
    const old = this.get(key);
    const isSame = old && JSON.stringify(old.spec) === JSON.stringify(spec);
    const metadata = old
      ? { ...old.metadata, generation: old.metadata.generation + (isSame ? 0 : 1) }
      : this.#newMetadata(key);
    const status = old?.status ?? emptyStatus;
    const { kind } = key;
    this.put(key, { apiVersion: 'espalier.dev/v1alpha1', kind, metadata, spec, status } as Stored);
    this.listener(key);
  }

  #newMetadata({ name, namespace }: ObjectKey): ObjectMeta {
    this.#uids += 1;
    return {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      uid: `uid-${this.#uids}`,
      generation: 1,
      creationTimestamp: this.#now().toISOString(),
    };
  }
}

const identity = ({ regarding, reason, message }: EventInput): string =>
  JSON.stringify([regarding, reason, message]);

const textOf = ({ kind, name }: ObjectKey): string => `${kind}/${name}`;

const ownerName = ({ metadata }: ModelDeploymentRevision): string | undefined =>
  metadata.ownerReferences?.[0]?.name;

/** The `Store` of one control plane over a `MemoryState`. */
class MemoryStore implements Store {
  readonly #state: MemoryState;
  readonly #epoch: number;

  constructor(state: MemoryState, epoch: number) {
    this.#state = state;
    this.#epoch = epoch;
  }

  async start(onChange: (key: ObjectKey) => void): Promise<void> {
    this.#state.listener = onChange;
    for (const { kind, metadata } of [...this.deployments(), ...this.nodes()]) {
      onChange(
        kind === 'ClusterNode'
          ? { kind, name: metadata.name }
          : { kind, namespace: 'default', name: metadata.name },
      );
    }
  }

  async stop(): Promise<void> {}

  deployments = (): ModelDeployment[] => this.#state.deployments();
  nodes = (): ClusterNode[] => this.#state.nodes();
  node = (name: string): ClusterNode | undefined => this.#state.node(name);
  problems = (): SpecProblem[] => this.#state.problems;
  events = (): StoredEvent[] => this.#state.events();
  recordEvent = (event: EventInput): void => this.#state.recordEvent(event);
  epoch = (): number => this.#epoch;
  groupSecretKey = (): Buffer => Buffer.alloc(32, 7);

  deployment(_: string, name: string): ModelDeployment | undefined {
    return this.#state.deployment(name);
  }

  async updateDeploymentStatus(
    namespace: string,
    name: string,
    status: ModelDeployment['status'],
  ): Promise<void> {
    await this.#updateStatus({ kind: 'ModelDeployment', namespace, name }, status);
  }

  async updateNodeStatus(name: string, status: ClusterNode['status']): Promise<void> {
    await this.#updateStatus({ kind: 'ClusterNode', name }, status);
  }

  async addFinalizer(key: ObjectKey, finalizer: string): Promise<void> {
    await this.#write(() => {
      const finalizers = this.#state.get(key)?.metadata.finalizers ?? [];
      this.#state.changeMetadata(key, { finalizers: [...finalizers, finalizer] });
    });
  }

  async removeFinalizer(key: ObjectKey, finalizer: string): Promise<void> {
    await this.#write(() => {
      const { finalizers = [], deletionTimestamp } = this.#state.get(key)?.metadata ?? {};
      const left = finalizers.filter((each) => each !== finalizer);
      if (deletionTimestamp && left.length === 0) this.#state.drop(key);
      else this.#state.changeMetadata(key, { finalizers: left });
    });
  }

  revisions(_: string, deployment: string): ModelDeploymentRevision[] {
    return this.#state.revisions().filter((revision) => ownerName(revision) === deployment);
  }

  async createRevision(revision: ModelDeploymentRevision): Promise<void> {
    const { name } = revision.metadata;
    await this.#write(() => this.#state.revisionsByName.set(name, structuredClone(revision)));
  }

  async renumberRevision(_: string, name: string, number: number): Promise<void> {
    await this.#write(() => {
      const old = this.#state.revisionsByName.get(name);
      if (old) this.#state.revisionsByName.set(name, { ...old, revision: number });
    });
  }

  async deleteRevision(_: string, name: string): Promise<void> {
    await this.#write(() => this.#state.revisionsByName.delete(name));
  }

  async #updateStatus(key: ObjectKey, status: unknown): Promise<void> {
    await this.#write(() => {
      const object = this.#state.get(key);
      if (!object) return;
      this.#state.statusWrites += 1;
      this.#state.put(key, { ...object, status } as Stored);
    });
  }

  /** A write takes a moment, and meets what came up meanwhile. */
  async #write(apply: () => unknown): Promise<void> {
    await Promise.resolve();
    this.#state.checkWrite(this.#epoch);
    apply();
  }
}
