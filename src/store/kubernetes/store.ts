import { sameContent } from '../../base/canonical-json.ts';
import type { Clock } from '../../base/clock.ts';
import { EspalierError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { Random } from '../../base/random.ts';
import type {
  EventInput,
  ObjectKey,
  SpecProblem,
  Store,
  StoredEvent,
} from '../../controller/ports.ts';
import { boundedStatus } from '../../resources/bounded-status.ts';
import type { Schemas } from '../../resources/schemas.ts';
import type {
  ClusterNode,
  ClusterNodeStatus,
  ModelDeployment,
  ModelDeploymentRevision,
  ModelDeploymentStatus,
} from '../../resources/types.ts';
import type { ApiClient } from './client.ts';
import { changeObject } from './change-object.ts';
import { createEventRecorder } from './event-recorder.ts';
import type { EventRecorder } from './event-recorder.ts';
import { kinds } from './kinds.ts';
import type { StoredDeployment, StoredNode, StoredRevision } from './kinds.ts';
import { keyOfName } from './objects.ts';
import type { ApiObject, ApiResource } from './objects.ts';
import { createReflector } from './reflector.ts';
import type { Reflector, ReflectorStatus } from './reflector.ts';
import { view, viewAll } from './object-view.ts';
import { createRevisions } from './revisions.ts';
import type { Revisions } from './revisions.ts';
import type { Term } from './term.ts';

export interface KubernetesStoreOptions {
  client: ApiClient;
  schemas: Schemas;
  term: Term;
  groupSecretKey: Buffer;
  clock: Clock;
  random: Random;
  logger: Logger;
  /** Names this process in Events: the pod's name. */
  instance: string;
}

export interface KubernetesStore extends Store {
  /** How well each kind is followed, for /readyz. */
  following(): Record<string, ReflectorStatus>;
}

/**
 * Store over a Kubernetes API server. Reads are from memory. Status goes to /status by server-side apply under
 * one field manager; specs are never written. Every write ends with the term.
 */
export const createKubernetesStore = (options: KubernetesStoreOptions): KubernetesStore =>
  new ApiStore(options);

class ApiStore implements KubernetesStore {
  readonly #options: KubernetesStoreOptions;
  readonly #deployments: Reflector<StoredDeployment>;
  readonly #nodes: Reflector<StoredNode>;
  readonly #revisionObjects: Reflector<StoredRevision>;
  readonly #revisions: Revisions;
  readonly #events: EventRecorder;
  #onChange: (key: ObjectKey) => void = () => undefined;

  constructor(options: KubernetesStoreOptions) {
    this.#options = options;
    const { client, clock, random, logger, term } = options;
    const common = { client, clock, random, logger };
    this.#deployments = createReflector<StoredDeployment>({
      ...common,
      resource: kinds.deployments,
      onChange: (key) => this.#onChange(deploymentKey(key)),
    });
    this.#nodes = createReflector<StoredNode>({
      ...common,
      resource: kinds.nodes,
      onChange: (name) => this.#onChange({ kind: 'ClusterNode', name }),
    });
    this.#revisionObjects = createReflector<StoredRevision>({
      ...common,
      resource: kinds.revisions,
      // Somebody may delete one by hand: its deployment makes it anew.
      onChange: (_, { before, after }) => this.#revisionChanged((after ?? before)!),
    });
    this.#revisions = createRevisions({
      client,
      reflector: this.#revisionObjects,
      signal: term.signal,
      isAlive: (uid) => this.#deployments.list().some(({ metadata }) => metadata.uid === uid),
    });
    this.#events = createEventRecorder({
      ...options,
      uidOf: (key) => this.#object(key)?.metadata.uid,
      signal: term.signal,
    });
  }

  async start(onChange: (key: ObjectKey) => void): Promise<void> {
    this.#options.term.signal.throwIfAborted();
    this.#onChange = onChange;
    await Promise.all([
      this.#deployments.start(),
      this.#nodes.start(),
      this.#revisionObjects.start(),
      this.#events.start(),
    ]);
  }

  async stop(): Promise<void> {
    this.#onChange = () => undefined;
    await this.#events.stop();
    await Promise.all(
      [this.#deployments, this.#nodes, this.#revisionObjects].map(async (each) => each.stop()),
    );
  }

  deployments(): readonly ModelDeployment[] {
    return viewAll(this.#deployments.list());
  }

  deployment(namespace: string, name: string): ModelDeployment | undefined {
    return view(this.#deployments.get(keyOfName({ namespace, name })));
  }

  nodes(): readonly ClusterNode[] {
    return viewAll(this.#nodes.list());
  }

  node(name: string): ClusterNode | undefined {
    return view(this.#nodes.get(name));
  }

  /** The API server refuses what is not valid: nothing of the kind gets here. */
  problems(): SpecProblem[] {
    return [];
  }

  async updateDeploymentStatus(
    namespace: string,
    name: string,
    status: ModelDeploymentStatus,
  ): Promise<void> {
    const bounded = boundedStatus(this.#options.schemas, 'ModelDeployment', status);
    await this.#updateStatus(this.#deployments, kinds.deployments, { namespace, name }, bounded);
  }

  async updateNodeStatus(name: string, status: ClusterNodeStatus): Promise<void> {
    const bounded = boundedStatus(this.#options.schemas, 'ClusterNode', status);
    await this.#updateStatus(this.#nodes, kinds.nodes, { name }, bounded);
  }

  /**
   * By merge patch with the resourceVersion, not by server-side apply: an apply to an object that has just gone
   * would make an empty one of that name.
   */
  async addFinalizer(key: ObjectKey, finalizer: string): Promise<void> {
    await this.#changeFinalizers(key, (finalizers, object) => {
      if (finalizers.includes(finalizer)) return undefined;
      if (object.metadata.deletionTimestamp === undefined) return [...finalizers, finalizer];
      const message = `${textOf(key)} is being deleted and takes no new finalizer`;
      throw new EspalierError('ObjectConflict', message, { finalizer });
    });
  }

  async removeFinalizer(key: ObjectKey, finalizer: string): Promise<void> {
    await this.#changeFinalizers(key, (finalizers) =>
      finalizers.includes(finalizer)
        ? finalizers.filter((other) => other !== finalizer)
        : undefined,
    );
  }

  revisions(namespace: string, deployment: string): ModelDeploymentRevision[] {
    const uid = this.deployment(namespace, deployment)?.metadata.uid;
    return uid === undefined ? [] : this.#revisions.ownedBy(uid);
  }

  async createRevision(revision: ModelDeploymentRevision): Promise<void> {
    this.#options.term.signal.throwIfAborted();
    await this.#revisions.create(revision);
  }

  async renumberRevision(namespace: string, name: string, revision: number): Promise<void> {
    this.#options.term.signal.throwIfAborted();
    await this.#revisions.renumber({ namespace, name }, revision);
  }

  async deleteRevision(namespace: string, name: string): Promise<void> {
    this.#options.term.signal.throwIfAborted();
    await this.#revisions.delete({ namespace, name });
  }

  recordEvent(event: EventInput): void {
    this.#events.record(event);
  }

  events(): StoredEvent[] {
    return this.#events.list();
  }

  epoch(): number {
    const { signal, epoch } = this.#options.term;
    signal.throwIfAborted();
    return epoch;
  }

  groupSecretKey(): Buffer {
    return this.#options.groupSecretKey;
  }

  following(): Record<string, ReflectorStatus> {
    return {
      modeldeployments: this.#deployments.status(),
      clusternodes: this.#nodes.status(),
      modeldeploymentrevisions: this.#revisionObjects.status(),
    };
  }

  async #updateStatus<T extends StoredDeployment | StoredNode>(
    reflector: Reflector<T>,
    resource: ApiResource,
    name: { namespace?: string; name: string },
    status: T['status'],
  ): Promise<void> {
    const { client, term } = this.#options;
    await changeObject({
      client,
      resource,
      reflector,
      name,
      signal: term.signal,
      change: async (object) => {
        if (sameContent(object.status, status)) return undefined;
        const { apiVersion, kind } = object;
        // The version is the guard against an object of the same name that was made since.
        const { resourceVersion } = object.metadata;
        const applied = { apiVersion, kind, metadata: { ...name, resourceVersion }, status };
        return client.applyStatus<T>(resource, applied, { signal: term.signal });
      },
    });
  }

  async #changeFinalizers(
    key: ObjectKey,
    next: (finalizers: string[], object: ApiObject) => string[] | undefined,
  ): Promise<void> {
    const { client, term } = this.#options;
    const isNode = key.kind === 'ClusterNode';
    const resource = isNode ? kinds.nodes : kinds.deployments;
    await changeObject<ApiObject>({
      client,
      resource,
      reflector: isNode ? this.#nodes : this.#deployments,
      name: key,
      signal: term.signal,
      change: async (object) => {
        const finalizers = next(object.metadata.finalizers ?? [], object);
        if (!finalizers) return undefined;
        const { resourceVersion } = object.metadata;
        const patch = { metadata: { finalizers } };
        return client.patch(resource, key, patch, { resourceVersion, signal: term.signal });
      },
    });
  }

  #object({ kind, namespace, name }: { kind: string; namespace?: string; name: string }) {
    if (kind === 'ModelDeployment') return this.deployment(namespace ?? '', name);
    return kind === 'ClusterNode' ? this.node(name) : undefined;
  }

  #revisionChanged({ metadata }: StoredRevision): void {
    for (const owner of metadata.ownerReferences ?? []) {
      if (owner.kind !== 'ModelDeployment') continue;
      this.#onChange({
        kind: 'ModelDeployment',
        namespace: metadata.namespace ?? '',
        name: owner.name,
      });
    }
  }
}

const deploymentKey = (key: string): ObjectKey => {
  const [namespace = '', name = ''] = key.split('/');
  return { kind: 'ModelDeployment', namespace, name };
};

const textOf = ({ kind, namespace, name }: ObjectKey): string =>
  `${kind} ${keyOfName({ namespace, name })}`;
