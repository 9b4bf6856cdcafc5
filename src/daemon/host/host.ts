import type { HostFacts } from '../../nodedoc/types.ts';

/** What the daemon asks of its operating system. */
export interface Host {
  facts(): Promise<HostFacts>;
  /** Another one after each boot. */
  bootId(): Promise<string>;
  processes: ProcessTable;
}

/** A process that still executes: a zombie is not one. */
export interface LiveProcess {
  pid: number;
  groupId: number;
  /** Together with the pid and the boot it names a process for good. */
  startTime: string;
  /** Value of ESPALIER_RUN_DIRECTORY in the environment it was started with. */
  runDirectory?: string;
}

export interface ProcessTable {
  find(pid: number): Promise<LiveProcess | undefined>;
  /** Cheap: it is asked several times a second. */
  isAlive(pid: number, startTime: string): Promise<boolean>;
  residentBytes(pid: number): Promise<number | undefined>;
  /** Every process that is ours to see; without a run directory where its environment is not. */
  list(): Promise<LiveProcess[]>;
}

/** Marks the processes of a rank, its children included, across restarts of the daemon. */
export const runDirectoryVariable = 'ESPALIER_RUN_DIRECTORY';
