import { canonicalJson } from '../../base/canonical-json.ts';
import type { Clock } from '../../base/clock.ts';
import { EspalierError, errorMessage } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { backoffMs } from '../../base/random.ts';
import type { Random } from '../../base/random.ts';
import type { EventInput, ObjectKey, SpecProblem } from '../../controller/ports.ts';
import { conditionTime } from '../../resources/conditions.ts';
import type { Reason } from '../../resources/reasons.ts';
import type { Schemas } from '../../resources/schemas.ts';
import { newRecord, updatedRecord, withMetadata } from './changes.ts';
import type { EventLog } from './event-log.ts';
import { frozenCopy } from './frozen.ts';
import type { ObjectTable } from './object-table.ts';
import { createScanner, reasonToKeep } from './scan.ts';
import type { Scan } from './scan.ts';
import type { StateDirectory } from './state-directory.ts';
import { keyOf, keyText } from './state-layout.ts';
import type { DirectoryIdentity, ObjectRecord } from './state-layout.ts';

export interface SyncResult {
  /** Objects that came, changed, went, or whose problems did. */
  changed: ObjectKey[];
  /** Look again within this many milliseconds. */
  again?: number;
  /** The directory is another one than at the last look. */
  isReplaced: boolean;
}

/** Brings the objects to what the directory says, and remembers what is wrong with it. */
export interface Sync {
  /** Never throws: what cannot be written is a problem, and `again` says when to try anew. */
  run(): Promise<SyncResult>;
  problems(): SpecProblem[];
  /** The object has gone with its last finalizer. */
  reportDeleted(key: ObjectKey): void;
}

const retryMs = { baseMs: 500, maxMs: 10_000 };

export interface SyncOptions {
  directory: string;
  stateDirectory: string;
  clock: Clock;
  random: Random;
  logger: Logger;
  schemas: Schemas;
  state: StateDirectory;
  table: ObjectTable;
  events: EventLog;
  timing: { deletionGraceMs: number };
}

export const createSync = (options: SyncOptions): Sync => new DirectorySync(options);

class DirectorySync implements Sync {
  readonly #options: SyncOptions;
  readonly #scan: ReturnType<typeof createScanner>;
  /** When a held object was first seen without a document, by the monotonic clock. */
  #missingSince = new Map<string, number>();
  /** When a scan last differed from the one before, by the same clock. */
  #lastChangeMs = 0;
  #problems: SpecProblem[] = [];
  #savedProblems = '';
  #toldNotes = new Set<string>();
  #failedWrites = 0;
  #identity: DirectoryIdentity | undefined;
  #isDirectoryMissing = false;
  #changed = new Map<string, ObjectKey>();

  constructor(options: SyncOptions) {
    this.#options = options;
    this.#scan = createScanner(options.directory, options.schemas);
    this.#identity = options.state.identity;
  }

  problems(): SpecProblem[] {
    return this.#problems;
  }

  reportDeleted(key: ObjectKey): void {
    this.#changed.set(keyText(key), key);
    this.#missingSince.delete(keyText(key));
    this.#event(key, 'Normal', 'Deleted', 'the object and all that it owned are gone');
  }

  async run(): Promise<SyncResult> {
    const { table } = this.#options;
    const result = this.#scan(table.records);
    const before = this.#identity;
    const missing = result.ok ? this.#emptiedBySwap(result.scan) : result.message;
    const problems: SpecProblem[] = [];
    let graceMs: number | undefined; // until a look at what is missing now
    try {
      if (missing !== undefined) {
        problems.push(this.#missingProblem(missing));
        graceMs = this.#options.timing.deletionGraceMs;
      } else if (result.ok) {
        graceMs = await this.#apply(result.scan, problems);
        await this.#saveIdentity(result.scan.identity);
      }
      this.#reportDirectory(missing);
      await this.#saveProblems(problems);
      this.#reportWritable();
    } catch (error) {
      problems.push(this.#stateProblem(error));
    }
    this.#adoptProblems(problems);
    const changed = [...this.#changed.values()];
    this.#changed.clear();
    const again = this.#failedWrites > 0 ? this.#retryMs() : graceMs;
    return {
      changed,
      ...(again === undefined ? {} : { again }),
      isReplaced: result.ok && before !== undefined && !sameIdentity(before, result.scan.identity),
    };
  }

  /** Gives the time until an object that is missing now may be deleted, if there is one. */
  async #apply(scan: Scan, problems: SpecProblem[]): Promise<number | undefined> {
    problems.push(...scan.problems);
    this.#tellNotes(scan);
    if (!scan.isSettled) this.#lastChangeMs = this.#options.clock.monotonicMs();
    for (const [key, desired] of scan.desired) {
      this.#missingSince.delete(key);
      const held = this.#options.table.records.get(key);
      if (held?.object.metadata.deletionTimestamp !== undefined) continue;
      const next = held ? updatedRecord(held, desired) : this.#newRecord(desired);
      if (next) await this.#put(next);
    }
    const waits: number[] = [];
    for (const [key, record] of this.#options.table.records) {
      if (scan.desired.has(key) || record.object.metadata.deletionTimestamp !== undefined) continue;
      const reason = reasonToKeep(key, record, scan);
      const waitMs = reason === undefined ? this.#graceLeftMs(key) : 0;
      if (reason !== undefined) {
        this.#missingSince.delete(key);
        if (!scan.problems.some((other) => other.key && keyText(other.key) === key)) {
          problems.push(this.#keptProblem(record, reason));
        }
      } else if (waitMs > 0) waits.push(waitMs);
      else await this.#delete(record);
    }
    return waits.length === 0 ? undefined : Math.min(...waits);
  }

  /** Each once, for as long as it holds. */
  #tellNotes({ notes }: Scan): void {
    const told = this.#toldNotes;
    this.#toldNotes = new Set(
      notes.map(({ file, line, message }) => `${file}:${line}: ${message}`),
    );
    for (const note of this.#toldNotes) {
      if (!told.has(note)) this.#options.logger.info({ note }, 'left out');
    }
  }

  #newRecord(desired: Parameters<typeof newRecord>[0]): ObjectRecord {
    return newRecord(desired, this.#options.schemas, this.#options.clock.now());
  }

  #graceLeftMs(key: string): number {
    const now = this.#options.clock.monotonicMs();
    const since = this.#missingSince.get(key) ?? now;
    this.#missingSince.set(key, since);
    const quietSince = Math.max(since, this.#lastChangeMs);
    return quietSince + this.#options.timing.deletionGraceMs - now;
  }

  async #put(record: ObjectRecord): Promise<void> {
    const key = keyOf(record.object);
    await this.#options.table.put(record);
    this.#changed.set(keyText(key), key);
  }

  async #delete(record: ObjectRecord): Promise<void> {
    const key = keyOf(record.object);
    const { finalizers = [] } = record.object.metadata;
    if (finalizers.length > 0) {
      const deletionTimestamp = conditionTime(this.#options.clock.now());
      await this.#put(withMetadata(record, { deletionTimestamp }));
      this.#event(key, 'Normal', 'Deleting', `its document is gone from ${record.file}`);
      return;
    }
    await this.#options.table.drop(key);
    this.reportDeleted(key);
  }

  /**
   * A directory that is suddenly another one without any YAML was unmounted or is being swapped. One that
   * was emptied in place was meant to be.
   */
  #emptiedBySwap(scan: Scan): string | undefined {
    const isEmpty = scan.fileCount === 0 && this.#options.table.records.size > 0;
    const isOther = this.#identity !== undefined && !sameIdentity(this.#identity, scan.identity);
    return isEmpty && isOther ? 'it was replaced by an empty directory' : undefined;
  }

  async #saveIdentity(identity: DirectoryIdentity): Promise<void> {
    if (this.#identity && sameIdentity(this.#identity, identity)) return;
    const { state } = this.#options;
    await state.write(state.layout.identity, identity);
    this.#identity = identity;
  }

  #missingProblem(why: string): SpecProblem {
    const { directory } = this.#options;
    const message =
      `the watched directory is gone (${why}); its objects stay as they were. ` +
      'Bring it back; to delete objects, remove their files from it';
    return { file: directory, line: 1, message };
  }

  #reportDirectory(missing: string | undefined): void {
    const isMissing = missing !== undefined;
    if (isMissing === this.#isDirectoryMissing) return;
    this.#isDirectoryMissing = isMissing;
    const { directory, logger } = this.#options;
    const regarding = { kind: 'File' as const, name: directory };
    if (isMissing) {
      logger.warn({ directory, reason: missing }, 'watched directory gone');
      this.#event(
        regarding,
        'Warning',
        'WatchedDirectoryMissing',
        this.#missingProblem(missing).message,
      );
    } else this.#event(regarding, 'Normal', 'WatchedDirectoryRestored', `${directory} is back`);
  }

  #keptProblem({ object, file }: ObjectRecord, reason: string): SpecProblem {
    const message = `${object.kind} ${object.metadata.name} is kept as it was: ${reason}`;
    return { key: keyOf(object), file, line: 1, message };
  }

  #stateProblem(error: unknown): SpecProblem {
    const { stateDirectory, logger } = this.#options;
    const message = errorMessage(error);
    logger.error({ error: message }, 'state not written');
    const regarding = { kind: 'File' as const, name: stateDirectory };
    const isFenced = error instanceof EspalierError && error.code === 'EpochFenced';
    if (!isFenced) this.#failedWrites += 1;
    if (this.#failedWrites === 1) this.#event(regarding, 'Warning', 'StateNotWritable', message);
    return { file: stateDirectory, line: 1, message };
  }

  #reportWritable(): void {
    if (this.#failedWrites === 0) return;
    this.#failedWrites = 0;
    const { stateDirectory } = this.#options;
    const message = `${stateDirectory} can be written again`;
    this.#event({ kind: 'File', name: stateDirectory }, 'Normal', 'StateWritable', message);
  }

  #retryMs(): number {
    return backoffMs(this.#failedWrites - 1, retryMs, this.#options.random);
  }

  /** For readers that look at the state directory while no control plane runs, or beside it. */
  async #saveProblems(problems: SpecProblem[]): Promise<void> {
    const text = canonicalJson(problems);
    if (text === this.#savedProblems) return;
    const { state } = this.#options;
    await state.write(state.layout.problems, { problems });
    this.#savedProblems = text;
  }

  #adoptProblems(problems: SpecProblem[]): void {
    const old = new Map(this.#problems.map((problem) => [canonicalJson(problem), problem]));
    const now = new Map(problems.map((problem) => [canonicalJson(problem), problem]));
    const came = problems.filter((problem) => !old.has(canonicalJson(problem)));
    const went = this.#problems.filter((problem) => !now.has(canonicalJson(problem)));
    for (const { key } of [...came, ...went]) if (key) this.#changed.set(keyText(key), key);
    this.#problems = frozenCopy(problems);
    for (const { key, file, line, message } of came) {
      // The controller tells of objects that it knows; of the state directory and its own, others have told.
      const isTold = file === this.#options.stateDirectory || file === this.#options.directory;
      if (isTold) continue;
      const regarding = key ?? { kind: 'File' as const, name: file };
      this.#event(regarding, 'Warning', 'SpecInvalid', `${file}:${line}: ${message}`);
    }
    for (const { key, file } of went) {
      const isStillWrong = problems.some((other) => other.file === file);
      const regarding = key ?? { kind: 'File' as const, name: file };
      if (!isStillWrong)
        this.#event(regarding, 'Normal', 'SpecValid', `${file} is as it should be again`);
    }
  }

  #event(
    regarding: EventInput['regarding'],
    type: EventInput['type'],
    reason: Reason,
    message: string,
  ): void {
    this.#options.events.record({ regarding, type, reason, message });
  }
}

const sameIdentity = (left: DirectoryIdentity, right: DirectoryIdentity): boolean =>
  left.device === right.device && left.inode === right.inode;
