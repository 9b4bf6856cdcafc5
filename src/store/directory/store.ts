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
import { loadSchemas } from '../../resources/schemas.ts';
import type { Schemas } from '../../resources/schemas.ts';
import type {
  ClusterNode,
  ClusterNodeStatus,
  ModelDeployment,
  ModelDeploymentRevision,
  ModelDeploymentStatus,
} from '../../resources/types.ts';
import { withMetadata } from './changes.ts';
import { createEventLog } from './event-log.ts';
import type { EventLog } from './event-log.ts';
import { createObjectTable, notFound, revisionKey } from './object-table.ts';
import type { ObjectTable } from './object-table.ts';
import { serialQueue } from './serial.ts';
import { openStateDirectory } from './state-directory.ts';
import type { StateDirectory } from './state-directory.ts';
import { keyOf, keyText } from './state-layout.ts';
import type { ObjectRecord, StoredObject } from './state-layout.ts';
import { createSync } from './sync.ts';
import type { Sync } from './sync.ts';
import { startWatcher } from './watcher.ts';
import type { WatchTiming, Watcher } from './watcher.ts';

export interface DirectoryStoreOptions {
  /** Folder of YAML that people write. */
  directory: string;
  /** Folder that only this store writes: status, revisions, events. */
  stateDirectory: string;
  clock: Clock;
  random: Random;
  logger: Logger;
  timing?: Partial<StoreTiming>;
}

export interface StoreTiming extends WatchTiming {
  /** An object goes only when its document is missing and nothing else changes for so long: git may be checking out. */
  deletionGraceMs: number;
}

const defaultTiming: StoreTiming = {
  debounceMs: 200,
  maxWaitMs: 2000,
  rescanMs: 10_000,
  deletionGraceMs: 1000,
};

/**
 * Store over a directory of YAML. Opens and locks the state directory and takes the next epoch; `start` reads
 * the YAML and watches it. Throws StateLocked or StateNotWritable. Whoever holds it must call `stop`.
 */
export const createDirectoryStore = async (options: DirectoryStoreOptions): Promise<Store> => {
  const { stateDirectory, clock, logger } = options;
  const timing = { ...defaultTiming, ...options.timing };
  const schemas = loadSchemas();
  const state = await openStateDirectory(stateDirectory, { schemas, now: clock.now() });
  const table = createObjectTable(state);
  const events = createEventLog({
    saved: state.events,
    clock,
    logger,
    save: (list) => state.write(state.layout.events, { events: list }),
  });
  reportCorruptFiles(state, events, logger);
  const sync = createSync({ ...options, schemas, state, table, events, timing });
  return new DirectoryStore({ ...options, schemas, timing, state, table, events, sync });
};

interface Parts extends DirectoryStoreOptions {
  schemas: Schemas;
  timing: StoreTiming;
  state: StateDirectory;
  table: ObjectTable;
  events: EventLog;
  sync: Sync;
}

class DirectoryStore implements Store {
  readonly #parts: Parts;
  readonly #table: ObjectTable;
  /** Every change of state goes through here, one at a time. */
  readonly #serially = serialQueue();
  #watcher: Watcher | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#table = parts.table;
  }

  /** A missing or broken directory of YAML is a problem, no error. */
  async start(onChange: (key: ObjectKey) => void): Promise<void> {
    const { sync } = this.#parts;
    const watcher = startWatcher({
      ...this.#parts,
      rescan: async () => {
        const { changed, again, isReplaced } = await this.#serially(() => sync.run());
        if (isReplaced) watcher.rewatch();
        if (again !== undefined) watcher.rescanWithin(again);
        for (const key of changed) onChange(key);
      },
    });
    this.#watcher = watcher;
    const { again } = await this.#serially(() => sync.run());
    if (again !== undefined) watcher.rescanWithin(again);
    for (const { object } of this.#table.records.values()) onChange(keyOf(object));
  }

  async stop(): Promise<void> {
    await this.#watcher?.stop();
    await this.#serially(() => this.#parts.events.flush());
    await this.#parts.state.close();
  }

  deployments(): ModelDeployment[] {
    return this.#objects().filter((object) => object.kind === 'ModelDeployment');
  }

  deployment(namespace: string, name: string): ModelDeployment | undefined {
    const object = this.#record({ kind: 'ModelDeployment', namespace, name })?.object;
    return object?.kind === 'ModelDeployment' ? object : undefined;
  }

  nodes(): ClusterNode[] {
    return this.#objects().filter((object) => object.kind === 'ClusterNode');
  }

  node(name: string): ClusterNode | undefined {
    const object = this.#record({ kind: 'ClusterNode', name })?.object;
    return object?.kind === 'ClusterNode' ? object : undefined;
  }

  problems(): SpecProblem[] {
    return this.#parts.sync.problems();
  }

  async updateDeploymentStatus(
    namespace: string,
    name: string,
    status: ModelDeploymentStatus,
  ): Promise<void> {
    await this.#updateStatus({ kind: 'ModelDeployment', namespace, name }, status);
  }

  async updateNodeStatus(name: string, status: ClusterNodeStatus): Promise<void> {
    await this.#updateStatus({ kind: 'ClusterNode', name }, status);
  }

  async addFinalizer(key: ObjectKey, finalizer: string): Promise<void> {
    await this.#change(key, async (record) => {
      const { finalizers = [], deletionTimestamp } = record.object.metadata;
      if (finalizers.includes(finalizer)) return;
      if (deletionTimestamp !== undefined) {
        const message = `${keyText(key)} is being deleted and takes no new finalizer`;
        throw new EspalierError('ObjectConflict', message, { finalizer });
      }
      await this.#table.put(withMetadata(record, { finalizers: [...finalizers, finalizer] }));
    });
  }

  async removeFinalizer(key: ObjectKey, finalizer: string): Promise<void> {
    await this.#change(key, async (record) => {
      const { finalizers = [], deletionTimestamp } = record.object.metadata;
      const left = finalizers.filter((other) => other !== finalizer);
      if (left.length === finalizers.length) return;
      if (deletionTimestamp === undefined || left.length > 0) {
        await this.#table.put(withMetadata(record, { finalizers: left }));
        return;
      }
      await this.#table.drop(key);
      this.#parts.sync.reportDeleted(key);
      // Tells the listener, and makes the object anew when its document is back.
      this.#watcher?.rescanWithin(0);
    });
  }

  revisions(namespace: string, deployment: string): ModelDeploymentRevision[] {
    const uid = this.deployment(namespace, deployment)?.metadata.uid;
    return [...this.#table.revisions.values()]
      .filter(({ metadata }) => metadata.ownerReferences?.some((owner) => owner.uid === uid))
      .toSorted((left, right) => left.revision - right.revision);
  }

  async createRevision(revision: ModelDeploymentRevision): Promise<void> {
    await this.#serially(async () => {
      const there = this.#table.revisions.get(revisionKey(revision));
      if (there && sameContent(there, revision)) return;
      if (there && isOwned(there, this.#table)) {
        const name = revision.metadata.name;
        throw new EspalierError('ObjectConflict', `revision ${name} exists already`, { name });
      }
      await this.#table.putRevision(revision);
    });
  }

  async renumberRevision(namespace: string, name: string, revision: number): Promise<void> {
    await this.#serially(async () => {
      const there = this.#table.revisions.get(`${namespace}/${name}`);
      if (!there) throw notFound(`revision ${namespace}/${name}`);
      if (there.revision !== revision) await this.#table.putRevision({ ...there, revision });
    });
  }

  async deleteRevision(namespace: string, name: string): Promise<void> {
    await this.#serially(() => this.#table.dropRevision(namespace, name));
  }

  recordEvent(event: EventInput): void {
    this.#parts.events.record(event);
  }

  events(): StoredEvent[] {
    return this.#parts.events.list();
  }

  epoch(): number {
    return this.#parts.state.epoch;
  }

  groupSecretKey(): Buffer {
    return this.#parts.state.groupSecret;
  }

  #objects(): StoredObject[] {
    return [...this.#table.records.values()].map(({ object }) => object);
  }

  #record(key: ObjectKey): ObjectRecord | undefined {
    return this.#table.records.get(keyText(key));
  }

  async #change(key: ObjectKey, change: (record: ObjectRecord) => Promise<void>): Promise<void> {
    await this.#serially(async () => {
      const record = this.#record(key);
      if (!record) throw notFound(keyText(key));
      await change(record);
    });
  }

  async #updateStatus(key: ObjectKey, wanted: StoredObject['status']): Promise<void> {
    const status = boundedStatus(this.#parts.schemas, key.kind, wanted);
    await this.#change(key, async (record) => {
      if (sameContent(record.object.status, status)) return;
      await this.#table.put({ ...record, object: { ...record.object, status } as StoredObject });
    });
  }
}

const isOwned = ({ metadata }: ModelDeploymentRevision, { records }: ObjectTable): boolean =>
  [...records.values()].some(({ object }) =>
    metadata.ownerReferences?.some((owner) => owner.uid === object.metadata.uid),
  );

const reportCorruptFiles = (state: StateDirectory, events: EventLog, logger: Logger): void => {
  for (const path of state.corrupt) {
    logger.error({ path }, 'state file damaged, set aside');
    const message = `a state file was damaged; it is kept as ${path}, and its object is made anew`;
    const regarding = { kind: 'File' as const, name: path };
    events.record({ regarding, type: 'Warning', reason: 'StateCorrupt', message });
  }
};
