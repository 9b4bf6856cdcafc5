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

const apiVersion = 'espalier.dev/v1alpha1';

/** State that outlives control planes, in memory. Every control plane over it opens its own, newer `Store`. */
export interface MemoryState {
  /** A new start: stores opened before are fenced from their next write on. */
  open(): Store;
  applyDeployment(name: string, spec: ModelDeploymentSpec): void;
  applyNode(name: string, spec: ClusterNodeSpec): void;
  /** Deletes as a user does: finalizers run first. */
  delete(key: ObjectKey): void;
  setProblems(problems: SpecProblem[]): void;
  deployments(): ModelDeployment[];
  deployment(name: string): ModelDeployment | undefined;
  node(name: string): ClusterNode | undefined;
  revisions(): ModelDeploymentRevision[];
  events(): StoredEvent[];
  /** Number of writes of any status so far. */
  statusWrites(): number;
  /** While set, writes reject with this error. */
  failWith(error: Error | undefined): void;
  /** Wall time of the last write that was made to fail, in ms since the simulation's start. */
  lastFailureMs(): number;
}

type Stored = ModelDeployment | ClusterNode;

export const memoryState = (now: () => Date): MemoryState => {
  const objects = new Map<string, Stored>();
  const revisions = new Map<string, ModelDeploymentRevision>();
  const events: StoredEvent[] = [];
  let problems: SpecProblem[] = [];
  let epoch = 0;
  let uids = 0;
  let statusWrites = 0;
  let fault: Error | undefined;
  let failedMs = -Infinity;
  const startMs = now().getTime();
  let listener: (key: ObjectKey) => void = () => {};

  const text = ({ kind, name }: ObjectKey): string => `${kind}/${name}`;
  const keyOf = ({ kind, metadata }: Stored): ObjectKey =>
    kind === 'ClusterNode'
      ? { kind, name: metadata.name }
      : { kind, namespace: 'default', name: metadata.name };
  const keep = (object: Stored): void => {
    objects.set(text(keyOf(object)), structuredClone(object));
  };
  const put = (object: Stored): void => {
    keep(object);
    listener(keyOf(object));
  };
  const change = (key: ObjectKey, metadata: Partial<ObjectMeta>): void => {
    const object = objects.get(text(key));
    if (object) put({ ...object, metadata: { ...object.metadata, ...metadata } } as Stored);
  };
  const remove = (key: ObjectKey): void => {
    objects.delete(text(key));
    if (key.kind === 'ModelDeployment') {
      for (const [name, { metadata }] of revisions) {
        if (metadata.ownerReferences?.[0]?.name === key.name) revisions.delete(name);
      }
    }
    listener(key);
  };
  const metadata = (key: ObjectKey, spec: unknown): ObjectMeta => {
    const old = objects.get(text(key));
    if (old) {
      const isSame = JSON.stringify(old.spec) === JSON.stringify(spec);
      return { ...old.metadata, generation: old.metadata.generation + (isSame ? 0 : 1) };
    }
    uids += 1;
    return {
      name: key.name,
      ...(key.namespace === undefined ? {} : { namespace: key.namespace }),
      uid: `uid-${uids}`,
      generation: 1,
      creationTimestamp: now().toISOString(),
    };
  };
  const all = (kind: Stored['kind']): Stored[] =>
    [...objects.values()].filter((object) => object.kind === kind);
  const get = (kind: Stored['kind'], name: string): Stored | undefined =>
    objects.get(text({ kind, name }));

  const open = (): Store => {
    epoch += 1;
    const mine = epoch;
    const write = async (apply: () => void): Promise<void> => {
      await Promise.resolve();
      if (mine !== epoch) throw new EspalierError('EpochFenced', 'a newer control plane writes');
      if (fault) {
        failedMs = now().getTime() - startMs;
        throw fault;
      }
      apply();
    };
    const writeStatus = async (key: ObjectKey, status: unknown): Promise<void> =>
      write(() => {
        const object = objects.get(text(key));
        if (!object) return;
        statusWrites += 1;
        // As the directory store: who writes is not told of its own writes.
        keep({ ...object, status } as Stored);
      });
    return {
      start: async (onChange) => {
        listener = onChange;
        for (const object of objects.values()) onChange(keyOf(object));
      },
      stop: async () => {},
      deployments: () => all('ModelDeployment') as ModelDeployment[],
      deployment: (_, name) => get('ModelDeployment', name) as ModelDeployment | undefined,
      nodes: () => all('ClusterNode') as ClusterNode[],
      node: (name) => get('ClusterNode', name) as ClusterNode | undefined,
      problems: () => problems,
      updateDeploymentStatus: async (namespace, name, status) =>
        writeStatus({ kind: 'ModelDeployment', namespace, name }, status),
      updateNodeStatus: async (name, status) => writeStatus({ kind: 'ClusterNode', name }, status),
      addFinalizer: async (key, finalizer) =>
        write(() => {
          const finalizers = objects.get(text(key))?.metadata.finalizers ?? [];
          change(key, { finalizers: [...finalizers, finalizer] });
        }),
      removeFinalizer: async (key, finalizer) =>
        write(() => {
          const object = objects.get(text(key));
          const finalizers = (object?.metadata.finalizers ?? []).filter((f) => f !== finalizer);
          if (object?.metadata.deletionTimestamp && finalizers.length === 0) remove(key);
          else change(key, { finalizers });
        }),
      revisions: (_, deployment) =>
        [...revisions.values()].filter(
          (revision) => revision.metadata.ownerReferences?.[0]?.name === deployment,
        ),
      createRevision: async (revision) =>
        write(() => void revisions.set(revision.metadata.name, structuredClone(revision))),
      renumberRevision: async (_, name, revision) =>
        write(() => {
          const old = revisions.get(name);
          if (old) revisions.set(name, { ...old, revision });
        }),
      deleteRevision: async (_, name) => write(() => void revisions.delete(name)),
      recordEvent: (event) => recordEvent(events, event, now()),
      events: () => events,
      epoch: () => mine,
      groupSecretKey: () => Buffer.alloc(32, 7),
    };
  };

  return {
    open,
    applyDeployment: (name, spec) => {
      const key: ObjectKey = { kind: 'ModelDeployment', namespace: 'default', name };
      const status = get('ModelDeployment', name)?.status ?? emptyDeploymentStatus;
      put({ apiVersion, kind: key.kind, metadata: metadata(key, spec), spec, status } as Stored);
    },
    applyNode: (name, spec) => {
      const key: ObjectKey = { kind: 'ClusterNode', name };
      const status = get('ClusterNode', name)?.status ?? emptyNodeStatus;
      put({ apiVersion, kind: key.kind, metadata: metadata(key, spec), spec, status } as Stored);
    },
    delete: (key) => {
      const finalizers = objects.get(text(key))?.metadata.finalizers ?? [];
      if (finalizers.length === 0) remove(key);
      else change(key, { deletionTimestamp: now().toISOString() });
    },
    setProblems: (list) => {
      const touched = [...problems, ...list];
      problems = list;
      for (const { key } of touched) if (key) listener(key);
    },
    deployments: () => all('ModelDeployment') as ModelDeployment[],
    deployment: (name) => get('ModelDeployment', name) as ModelDeployment | undefined,
    node: (name) => get('ClusterNode', name) as ClusterNode | undefined,
    revisions: () => [...revisions.values()],
    events: () => events,
    statusWrites: () => statusWrites,
    failWith: (error) => {
      fault = error;
    },
    lastFailureMs: () => failedMs,
  };
};

const emptyDeploymentStatus = {
  observedGeneration: -1,
  conditions: [],
  replicas: 0,
  readyReplicas: 0,
  updatedReplicas: 0,
  availableReplicas: 0,
  groups: [],
};

const emptyNodeStatus = {
  observedGeneration: -1,
  conditions: [],
  links: [],
  engines: [],
  cachedModels: [],
  ranks: [],
};

const recordEvent = (events: StoredEvent[], event: EventInput, now: Date): void => {
  const known = events.find(
    ({ reason, message, regarding }) =>
      reason === event.reason &&
      message === event.message &&
      JSON.stringify(regarding) === JSON.stringify(event.regarding),
  );
  const time = now.toISOString();
  if (!known) events.push({ ...event, count: 1, firstTimestamp: time, lastTimestamp: time });
  else Object.assign(known, { count: known.count + 1, lastTimestamp: time });
};
