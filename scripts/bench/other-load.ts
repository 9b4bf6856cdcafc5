import { existsSync, readFileSync } from 'node:fs';

/** Shares of all cores' time. Null where the system does not tell (it has no /proc). */
export interface OtherLoad {
  /** Used by processes that are not part of the measurement. */
  othersPercent: number | null;
  /** Taken by the host that this machine is a guest of. */
  stolenPercent: number | null;
}

/** Begins to watch; the function it returns tells of the time since. `pids` are the processes that are measured. */
export const watchOtherLoad = (pids: readonly number[]): (() => OtherLoad) => {
  if (!existsSync('/proc/stat')) return () => ({ othersPercent: null, stolenPercent: null });
  const before = read(pids);
  return () => {
    const after = read(pids);
    const percent = (ticks: number) => Math.max(0, (100 * ticks) / (after.all - before.all || 1));
    return {
      othersPercent: percent(after.busy - before.busy - (after.own - before.own)),
      stolenPercent: percent(after.stolen - before.stolen),
    };
  };
};

/** In ticks of 10 ms; see proc(5). */
const read = (pids: readonly number[]) => {
  const [user = 0, nice = 0, system = 0, idle = 0, io = 0, irq = 0, softIrq = 0, stolen = 0] =
    readFileSync('/proc/stat', 'utf8').split('\n')[0]!.split(/\s+/).slice(1).map(Number);
  const busy = user + nice + system + irq + softIrq;
  const own = [process.pid, ...pids].reduce((sum, pid) => sum + ticksOf(pid), 0);
  return { busy, own, stolen, all: busy + idle + io + stolen };
};

const ticksOf = (pid: number): number => {
  // The command's name stands in brackets and may hold spaces; the 12th and 13th field after it are times.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
  return Number(fields[11]) + Number(fields[12]);
};
