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

export interface ConvergerOptions {
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
export interface Converger {
  /** Takes over what an earlier daemon left. Starts nothing, stops what nobody can account for. */
  adopt(document: NodeDocument | undefined): Promise<void>;
  apply(document: NodeDocument): void;
  /** Until this is called, ranks are adopted and stopped, but not started. */
  allowStarts(): void;
  reports(): RankReport[];
  cachedModels(): NodeReport['cachedModels'];
  /** Ends all ranks and leaves nothing behind. */
  stopAll(): Promise<void>;
  /** Leaves all ranks running. */
  release(): Promise<void>;
}

export const createConverger = (options: ConvergerOptions): Converger => {
  const { clock, logger, timing, directory, engines } = options;
  const ranks = new Map<string, Rank>();
  const models = new Map<string, NodeReport['cachedModels'][number]>();
  let desired: NodeDocument | undefined;
  let mayStart = false;
  let isStopping = false;

  const newRank = (assignment: RankAssignment): Rank => {
    const rank = new Rank(assignment, {
      ...options,
      engine: engines.find(({ name }) => name === assignment.engine.name),
      runDirectory: directory.runDirectory(assignment.id),
      logFile: directory.logFile(assignment),
      room: async (signal) => waitForRoom(assignment, signal),
      onStaged: (uri, result) => {
        models.set(uri, cachedModel(uri, result));
        options.onChange();
      },
    });
    ranks.set(assignment.id, rank);
    return rank;
  };

  /** Also ranks of other deployments: the planner counts their memory as free, and it is not yet. */
  const waitForRoom = async (assignment: RankAssignment, signal: AbortSignal): Promise<void> => {
    const limitMs = assignment.deadlines.stageMs + assignment.deadlines.rendezvousMs;
    const sinceMs = clock.monotonicMs();
    for (;;) {
      signal.throwIfAborted();
      const leaving = [...ranks.values()].filter((rank) => rank.isLeaving).map((rank) => rank.id);
      if (leaving.length === 0) return;
      if (clock.monotonicMs() - sinceMs > limitMs) {
        const message = `still waiting for ${leaving.join(', ')} to be gone from this node after ${limitMs / 1000} s`;
        throw new EspalierError('RankUnkillable', message, { ranks: leaving, limitMs });
      }
      await delay(clock, timing.tickMs, signal);
    }
  };

  const converge = (): void => {
    if (!desired || isStopping) return;
    const assignments = new Map(desired.ranks.map((assignment) => [assignment.id, assignment]));
    for (const rank of ranks.values()) {
      if (!assignments.has(rank.id) && !rank.isLeaving) void remove(rank);
    }
    for (const assignment of assignments.values()) {
      const rank = ranks.get(assignment.id);
      if (rank) rank.update(assignment);
      else if (mayStart) newRank(assignment).start();
    }
  };

  const remove = async (rank: Rank): Promise<void> => {
    await rank.stop();
    ranks.delete(rank.id);
    options.onChange();
    converge();
  };

  return {
    adopt: async (document) => {
      for (const found of await findLeftovers(options, document)) {
        const rank = newRank(found.record.assignment);
        if (found.process) await rank.adopt(found.process, found.record);
        else rank.adoptFailed(found.failure);
      }
      if (document) desired = document;
      converge();
    },
    apply: (document) => {
      const change = documentChange(desired, document);
      logger.info({ version: document.version, ...change }, 'new document');
      desired = document;
      converge();
      options.onChange();
    },
    allowStarts: () => {
      if (mayStart) return;
      mayStart = true;
      converge();
    },
    reports: () => [...ranks.values()].map((rank) => rank.report()),
    cachedModels: () => [...models.values()],
    stopAll: async () => {
      isStopping = true;
      await Promise.all([...ranks.values()].map(async (rank) => rank.stop()));
    },
    release: async () => {
      isStopping = true;
      await Promise.all([...ranks.values()].map(async (rank) => rank.release()));
    },
  };
};

const cachedModel = (
  uri: string,
  result: { sizeBytes: number } | { code: string },
): NodeReport['cachedModels'][number] =>
  'sizeBytes' in result
    ? { uri, sizeBytes: result.sizeBytes, state: 'Ready' }
    : { uri, sizeBytes: 0, state: 'Invalid' };
