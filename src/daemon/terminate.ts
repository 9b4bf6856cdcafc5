import { delay } from '../base/clock.ts';
import type { Clock } from '../base/clock.ts';
import type { LiveProcess, ProcessTable } from './host/host.ts';
import type { DaemonTiming } from './timing.ts';

export interface RankProcess {
  pid: number;
  startTime: string;
}

interface TerminateOptions {
  clock: Clock;
  processes: ProcessTable;
  timing: DaemonTiming;
  runDirectory: string;
  /** Undefined: it is gone, or was never known; only what it left behind is looked for. */
  process: RankProcess | undefined;
  graceMs: number;
  /** Told once when something outlives SIGKILL; the wait goes on. */
  onUnkillable: (pids: number[]) => void;
}

/**
 * Ends a rank: SIGTERM to its process group, `graceMs` to let it close its connections (a process killed
 * inside an RDMA call can take the port down until a reboot), then SIGKILL. Resolves when no process of
 * the rank is left, its children included.
 */
export const terminate = async (options: TerminateOptions): Promise<void> => {
  const { clock, timing } = options;
  if (options.process) await askToStop(options.process, options);
  const killSince = clock.monotonicMs();
  let isTold = false;
  for (;;) {
    const left = await membersOf(options);
    if (left.length === 0) return;
    for (const { pid } of left) sendSignal(pid, 'SIGKILL');
    if (!isTold && clock.monotonicMs() - killSince > timing.killMs) {
      isTold = true;
      options.onUnkillable(left.map(({ pid }) => pid));
    }
    await delay(clock, isTold ? timing.killMs : 20);
  }
};

const askToStop = async (
  { pid, startTime }: RankProcess,
  { clock, processes, graceMs }: TerminateOptions,
): Promise<void> => {
  if (!(await processes.isAlive(pid, startTime))) return;
  sendSignal(-pid, 'SIGTERM');
  // A stopped process handles no signal before it runs again.
  sendSignal(-pid, 'SIGCONT');
  const askedAtMs = clock.monotonicMs();
  while (await processes.isAlive(pid, startTime)) {
    if (clock.monotonicMs() - askedAtMs >= graceMs) return;
    await delay(clock, 20);
  }
};

/**
 * By the marker in the environment, which children inherit, and by process group. A group counts only
 * while we know its leader to be ours: later its number may belong to others.
 */
const membersOf = async ({
  processes,
  process: leader,
  runDirectory,
}: TerminateOptions): Promise<LiveProcess[]> =>
  (await processes.list()).filter(
    (live) =>
      live.runDirectory === runDirectory ||
      (leader !== undefined && live.groupId === leader.pid && isOfLeader(live, leader)),
  );

const isOfLeader = (live: LiveProcess, leader: RankProcess): boolean =>
  live.pid !== leader.pid || live.startTime === leader.startTime;

/** Gone already is fine; so is not being allowed to, which shows as unkillable. */
const sendSignal = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal);
  } catch {
    // ESRCH or EPERM.
  }
};
