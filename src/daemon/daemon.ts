import type { Clock } from '../base/clock.ts';
import type { EspalierError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import type { Engine } from '../engines/engine.ts';
import type { NodeReport } from '../nodedoc/types.ts';
import { Converger } from './converge.ts';
import { dataDirectory, prepareDataDirectory, readInstanceID } from './data-directory.ts';
import type { DataDirectory } from './data-directory.ts';
import { followDocument } from './follow-document.ts';
import type { Host } from './host/host.ts';
import { createHubClient } from './hub-client.ts';
import type { HubClient } from './hub-client.ts';
import { readKeptDocument, writeKeptDocument } from './kept-document.ts';
import type { KeptDocument } from './kept-document.ts';
import { takeLock } from './lock.ts';
import { createReporter } from './reporter.ts';
import { defaultTiming } from './timing.ts';
import type { DaemonTiming } from './timing.ts';

interface DaemonOptions {
  nodeName: string;
  /** "http://127.0.0.1:41234" */
  hubUrl: string;
  /** Survives the daemon; one daemon per directory. */
  dataDirectory: string;
  engines: readonly Engine[];
  host: Host;
  clock: Clock;
  random: Random;
  logger: Logger;
  daemonVersion: string;
  timing?: Partial<DaemonTiming>;
}

export interface Daemon {
  /** Resolves once the ranks of an earlier daemon are adopted. Throws DaemonAlreadyRunning, DataNotWritable. */
  start(): Promise<void>;
  /** Leaves the ranks running for the next daemon, unless `ranks` is true: then nothing is left of them. */
  stop(options?: { ranks?: boolean }): Promise<void>;
}

/** Converges this host to its node document, and keeps serving when nobody tells it anything. */
export const createDaemon = (options: DaemonOptions): Daemon => {
  const directory = dataDirectory(options.dataDirectory);
  let running: Running | undefined;
  return {
    start: async () => {
      await prepareDataDirectory(directory);
      const unlock = await takeLock(directory.lockFile, options.host);
      try {
        running = await run(options, directory, unlock);
      } catch (error) {
        await unlock();
        throw error;
      }
    },
    stop: async ({ ranks = false } = {}) => {
      await running?.stop(ranks);
      running = undefined;
    },
  };
};

interface Running {
  stop(ranks: boolean): Promise<void>;
}

const run = async (
  options: DaemonOptions,
  directory: DataDirectory,
  unlock: () => Promise<void>,
): Promise<Running> => {
  const { logger, host } = options;
  const timing = { ...defaultTiming, ...options.timing };
  const halt = new AbortController();
  const instanceID = await readInstanceID(directory);
  const facts = await nodeFacts(options, instanceID);
  const shared = {
    ...options,
    timing,
    signal: halt.signal,
    client: createHubClient({ ...options, ...timing, instanceID }),
  };
  let kept = await readKeptDocument(directory.documentFile, logger);
  let problem: EspalierError | undefined;

  const converger = new Converger({
    ...shared,
    directory,
    processes: host.processes,
    bootId: facts.bootId,
    onChange: () => reporter.wake(),
  });
  const current = () => ({ ...facts, ...observed(converger, kept, problem) });
  const reporter = createReporter({ ...shared, current });
  await converger.adopt(kept.document);
  // Timers of the Clock keep no process alive; a daemon does, until it has stopped.
  const keepAlive = setInterval(() => {}, 2 ** 30);
  const following = followDocument({
    ...shared,
    kept,
    keep: async (next) => {
      await writeKeptDocument(directory.documentFile, next);
      kept = next;
    },
    apply: (document) => converger.apply(document),
    allowStarts: () => converger.allowStarts(),
    reportNow: async () => reporter.reportNow(),
    onProblem: (next) => {
      problem = next;
      reporter.wake();
    },
  });
  const reporting = reporter.run();
  logger.info({ node: options.nodeName, hubUrl: options.hubUrl }, 'node daemon runs');

  return {
    stop: async (ranks) => {
      halt.abort();
      await Promise.all([following, reporting]);
      await (ranks ? converger.stopAll() : converger.release());
      if (ranks) await sayGoodbye(shared.client, current());
      await unlock();
      clearInterval(keepAlive);
      logger.info({ node: options.nodeName, ranksStopped: ranks }, 'node daemon stopped');
    },
  };
};

type NodeFacts = Pick<
  NodeReport,
  'nodeName' | 'instanceID' | 'bootId' | 'daemonVersion' | 'host' | 'engines' | 'links'
>;

/** What does not change while a daemon runs. */
const nodeFacts = async (options: DaemonOptions, instanceID: string): Promise<NodeFacts> => {
  const engines: NodeReport['engines'] = [];
  for (const engine of options.engines) {
    const reason = await engine.unavailable();
    if (reason === undefined) engines.push({ name: engine.name, version: engine.version });
    else options.logger.info({ engine: engine.name, reason }, 'engine is not available here');
  }
  return {
    nodeName: options.nodeName,
    instanceID,
    bootId: await options.host.bootId(),
    daemonVersion: options.daemonVersion,
    host: await options.host.facts(),
    engines,
    // Cables between hosts come with node identity: until then all nodes share this host.
    links: [],
  };
};

const observed = (
  converger: Converger,
  kept: KeptDocument,
  problem: EspalierError | undefined,
): Pick<
  NodeReport,
  'observedEpoch' | 'observedVersion' | 'cachedModels' | 'ranks' | 'problems'
> => ({
  observedEpoch: kept.epoch,
  observedVersion: converger.observedVersion(),
  cachedModels: converger.cachedModels(),
  ranks: converger.reports(),
  ...(problem && { problems: [{ code: problem.code, message: problem.message.slice(0, 4_000) }] }),
});

/** Tells the hub that the ranks are gone, if it is there to hear it. */
const sayGoodbye = async (client: HubClient, report: NodeReport): Promise<void> => {
  await client.report(report, AbortSignal.timeout(1_000)).catch(() => {});
};
