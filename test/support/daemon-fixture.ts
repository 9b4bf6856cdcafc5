import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { createLogger } from '../../src/base/logger.ts';
import { seededRandom } from '../../src/base/random.ts';
import { createDaemon } from '../../src/daemon/daemon.ts';
import type { Daemon } from '../../src/daemon/daemon.ts';
import { thisHost } from '../../src/daemon/host/this-host.ts';
import type { DaemonTiming } from '../../src/daemon/timing.ts';
import { createHub } from '../../src/hub/hub.ts';
import type { Hub } from '../../src/hub/hub.ts';
import type { NodeReport, RankAssignment, RankReport } from '../../src/nodedoc/types.ts';
import { eventually } from './eventually.ts';
import { nodeDocument } from './node-documents.ts';
import { restartablePort } from './restartable-port.ts';
import { testEngine } from './test-engine.ts';

/** Short periods; limits that a busy machine must not run into stay long. */
export const quickTiming: Partial<DaemonTiming> = {
  tickMs: 30,
  livenessMs: 200,
  heartbeatMs: 1_000,
  reportRefreshMs: 100,
  housekeepingMs: 200,
  retryMaxMs: 200,
  resumeAfterMs: 60_000,
};

const silent = createLogger({
  name: 'test',
  level: process.env['ESPALIER_TEST_LOG'] ?? 'silent',
});

export interface Fixture {
  hub: Hub;
  hubUrl: string;
  dataDirectory: string;
  newDaemon: (timing?: Partial<DaemonTiming>) => Daemon;
  publish: (ranks: RankAssignment[]) => void;
  report: () => NodeReport | undefined;
  rank: (id?: string) => RankReport | undefined;
  /** Waits until the rank reports this state; fails early when it reports Failed instead. */
  rankIn: (state: RankReport['state'], id?: string) => Promise<RankReport>;
}

export const startHub = async (
  context: TestContext,
  { epoch = 1, port = 0, open = true }: { epoch?: number; port?: number; open?: boolean } = {},
): Promise<{ hub: Hub; hubUrl: string; stale: number[] }> => {
  const stale: number[] = [];
  const hub = createHub({
    logger: silent,
    clock: systemClock,
    host: '127.0.0.1',
    port,
    epoch,
    onStale: (_node, observedEpoch) => stale.push(observedEpoch),
  });
  const hubUrl = await hub.listen();
  if (open) hub.open();
  context.after(async () => hub.close());
  return { hub, hubUrl, stale };
};

/** A hub, a data directory, and after the test nothing of either: no process, no file. */
export const daemonFixture = async (context: TestContext): Promise<Fixture> => {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'espalier-daemon-'));
  const daemons: Daemon[] = [];
  context.after(async () => {
    for (const daemon of daemons) await daemon.stop({ ranks: true });
    for (const pid of await processesUnder(dataDirectory)) process.kill(pid, 'SIGKILL');
    await eventually(
      'no process left',
      async () => (await processesUnder(dataDirectory)).length === 0,
    );
    await rm(dataDirectory, { recursive: true, force: true });
  });
  // Some tests close this hub and start another one in its place.
  const { hub, hubUrl } = await startHub(context, { port: await restartablePort() });
  const report = () => hub.latest('mac-1')?.report;
  const rank = (id?: string) => report()?.ranks.find((one) => id === undefined || one.id === id);
  return {
    hub,
    hubUrl,
    dataDirectory,
    newDaemon: (timing = {}) => {
      const daemon = newDaemon({ hubUrl, dataDirectory, timing });
      daemons.push(daemon);
      return daemon;
    },
    publish: (ranks) => hub.publish(nodeDocument(ranks)),
    report,
    rank,
    rankIn: async (state, id) =>
      eventually(`rank ${state}`, () => {
        const found = rank(id);
        if (found?.state !== state) throw new Error(JSON.stringify(report()?.ranks));
        return found;
      }),
  };
};

export const newDaemon = (options: {
  hubUrl: string;
  dataDirectory: string;
  nodeName?: string;
  timing?: Partial<DaemonTiming>;
}): Daemon =>
  createDaemon({
    nodeName: 'mac-1',
    ...options,
    engines: [testEngine()],
    host: thisHost(),
    clock: systemClock,
    random: seededRandom(1),
    logger: silent,
    daemonVersion: '0.0.0-test',
    timing: { ...quickTiming, ...options.timing },
  });

/** Pids of live processes of ranks under a data directory, children included. */
export const processesUnder = async (dataDirectory: string): Promise<number[]> =>
  (await thisHost().processes.list())
    .filter(({ runDirectory }) => runDirectory?.startsWith(`${dataDirectory}/`))
    .map(({ pid }) => pid);

export const isAlive = async (pid: number): Promise<boolean> =>
  (await thisHost().processes.find(pid)) !== undefined;
