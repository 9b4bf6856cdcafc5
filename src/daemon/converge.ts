import { delay } from '../base/clock.ts';
import type { Clock } from '../base/clock.ts';
import { EspalierError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Engine } from '../engines/engine.ts';
import { documentChange } from '../nodedoc/diff.ts';
import type { NodeDocument, NodeReport, RankAssignment, RankReport } from '../nodedoc/types.ts';
import { findLeftovers } from './adopt.ts';
import type { DataDirectory } from './data-directory.ts';
import type { ProcessTable } from './host/host.ts';
import { Rank } from './rank.ts';
import type { DaemonTiming } from './timing.ts';

interface ConvergerOptions {
  clock: Clock;
  logger: Logger;
  timing: DaemonTiming;
  processes: ProcessTable;
  bootId: string;
  directory: DataDirectory;
  engines: readonly Engine[];
  onChange: () => void;
}

/** Drives this node's ranks to a document, whatever they are doing now. */
export class Converger {
  readonly #options: ConvergerOptions;
  readonly #ranks = new Map<string, Rank>();
  readonly #models = new Map<string, NodeReport['cachedModels'][number]>();
  #desired: NodeDocument | undefined;
  #mayStart = false;
  #isStopping = false;

  constructor(options: ConvergerOptions) {
    this.#options = options;
  }

  /** Takes over what an earlier daemon left. Starts nothing, stops what nobody can account for. */
  async adopt(document: NodeDocument | undefined): Promise<void> {
    for (const found of await findLeftovers(this.#options, document)) {
      const rank = this.#newRank(found.record.assignment);
      if (found.process) await rank.adopt(found.process, found.record);
      else rank.adoptFailed(found.failure);
    }
    this.#desired = document;
    this.#converge();
  }

  apply(document: NodeDocument): void {
    const change = documentChange(this.#desired, document);
    this.#options.logger.info({ version: document.version, ...change }, 'new document');
    this.#desired = document;
    this.#converge();
    this.#options.onChange();
  }

  /** Until this is called, ranks are adopted and stopped, but not started: they are Pending. */
  allowStarts(): void {
    if (this.#mayStart) return;
    this.#mayStart = true;
    this.#converge();
  }

  /** Of the document that the ranks below answer; "" while a kept one waits to be confirmed. */
  observedVersion(): string {
    return (this.#mayStart && this.#desired?.version) || '';
  }

  reports(): RankReport[] {
    return [...this.#ranks.values()].map((rank) => rank.report());
  }

  cachedModels(): NodeReport['cachedModels'] {
    return [...this.#models.values()];
  }

  /** Ends all ranks and leaves nothing behind. */
  async stopAll(): Promise<void> {
    this.#isStopping = true;
    await Promise.all([...this.#ranks.values()].map(async (rank) => rank.stop()));
  }

  /** Leaves all ranks running. */
  async release(): Promise<void> {
    this.#isStopping = true;
    await Promise.all([...this.#ranks.values()].map(async (rank) => rank.release()));
  }

  #converge(): void {
    if (!this.#desired || this.#isStopping) return;
    const assignments = this.#desired.ranks;
    for (const rank of this.#ranks.values()) {
      const isWanted = assignments.some((assignment) => rank.isOf(assignment));
      if (!isWanted && !rank.isLeaving) void this.#remove(rank);
    }
    for (const assignment of assignments) {
      const rank = this.#ranks.get(assignment.id) ?? this.#newRank(assignment);
      // One of another group under the same id leaves first; then this is looked at again.
      if (!rank.isOf(assignment)) continue;
      rank.update(assignment);
      if (this.#mayStart) rank.start();
    }
  }

  async #remove(rank: Rank): Promise<void> {
    await rank.stop();
    this.#ranks.delete(rank.id);
    this.#options.onChange();
    this.#converge();
  }

  #newRank(assignment: RankAssignment): Rank {
    const { directory, engines, onChange } = this.#options;
    const rank = new Rank(assignment, {
      ...this.#options,
      engine: engines.find(({ name }) => name === assignment.engine.name),
      runDirectory: directory.runDirectory(assignment.id),
      logFile: directory.logFile(assignment),
      room: async (signal) => this.#waitForRoom(assignment, signal),
      onStaged: (uri, result) => {
        this.#models.set(uri, cachedModel(uri, result));
        onChange();
      },
    });
    this.#ranks.set(assignment.id, rank);
    return rank;
  }

  /** Also for ranks of other deployments: the planner counts their memory as free, and it is not yet. */
  async #waitForRoom({ deadlines }: RankAssignment, signal: AbortSignal): Promise<void> {
    const { clock, timing } = this.#options;
    const limitMs = deadlines.stageMs + deadlines.rendezvousMs;
    const sinceMs = clock.monotonicMs();
    for (;;) {
      signal.throwIfAborted();
      const leaving = [...this.#ranks.values()].filter((one) => one.isLeaving).map(({ id }) => id);
      if (leaving.length === 0) return;
      if (clock.monotonicMs() - sinceMs > limitMs) {
        const message = `after ${limitMs / 1000} s this node still waits for ${leaving.join(', ')} to be gone`;
        throw new EspalierError('RankUnkillable', message, { ranks: leaving, limitMs });
      }
      await delay(clock, timing.tickMs, signal);
    }
  }
}

const cachedModel = (
  uri: string,
  result: { sizeBytes: number } | { code: string },
): NodeReport['cachedModels'][number] =>
  'sizeBytes' in result
    ? { uri, sizeBytes: result.sizeBytes, state: 'Ready' }
    : { uri, sizeBytes: 0, state: 'Invalid' };
