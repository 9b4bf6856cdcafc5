import { readFileSync, readdirSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import type { HostFacts } from '../../nodedoc/types.ts';
import { runDirectoryVariable } from './host.ts';
import type { Host, LiveProcess, ProcessTable } from './host.ts';

/** Linux: facts from /etc and node:os, processes from /proc. */
export const linuxHost = (): Host => ({
  facts: async () => linuxFacts(),
  bootId: async () => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
  processes: linuxProcesses,
});

const linuxFacts = (): HostFacts => ({
  hostID: firstLine('/etc/machine-id') ?? firstLine('/var/lib/dbus/machine-id') ?? bootScopedId(),
  model: `linux-${process.arch}`,
  chip: cpus()[0]?.model.trim() ?? process.arch,
  osVersion: parseOsRelease(readText('/etc/os-release') ?? ''),
  osBuild: release(),
  // libuv counts what affinity and cgroup leave to us.
  cpuCount: availableParallelism(),
  memoryBytes: usableMemoryBytes(totalmem(), process.constrainedMemory()),
  // Until node identity exists a node can only be reached over loopback.
  address: '127.0.0.1',
});

/** The cgroup's limit when there is one; without a limit it is 0 or beyond what the machine has. */
export const usableMemoryBytes = (totalBytes: number, constrainedBytes: number): number =>
  constrainedBytes > 0 ? Math.min(totalBytes, constrainedBytes) : totalBytes;

/** "debian 12" from ID and VERSION_ID of os-release(5), "linux" without them. */
export const parseOsRelease = (text: string): string => {
  const field = (name: string) => new RegExp(`^${name}="?([^"\n]*)"?$`, 'm').exec(text)?.[1];
  return [field('ID') ?? 'linux', field('VERSION_ID')].filter(Boolean).join(' ');
};

const linuxProcesses: ProcessTable = {
  find: async (pid) => {
    const stat = parseStat(readText(`/proc/${pid}/stat`));
    return stat && withRunDirectory(stat);
  },
  isAlive: async (pid, startTime) =>
    parseStat(readText(`/proc/${pid}/stat`))?.startTime === startTime,
  residentBytes: async (pid) => {
    const match = /^VmRSS:\s+(\d+) kB$/m.exec(readText(`/proc/${pid}/status`) ?? '');
    return match ? Number(match[1]) * 1024 : undefined;
  },
  list: async () =>
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((name) => parseStat(readText(`/proc/${name}/stat`)) ?? [])
      .map(withRunDirectory),
};

/** Fields of proc_pid_stat(5); the command in parentheses may itself hold spaces and parentheses. */
export const parseStat = (text: string | undefined): LiveProcess | undefined => {
  const match = /^(\d+) \(.*\) (.+)$/s.exec(text ?? '');
  const fields = match?.[2]?.split(' ') ?? [];
  const [state, , groupId] = fields;
  const startTime = fields[19];
  if (state === undefined || startTime === undefined || 'ZXx'.includes(state)) return undefined;
  return { pid: Number(match?.[1]), groupId: Number(groupId), startTime };
};

const withRunDirectory = (live: LiveProcess): LiveProcess => {
  const prefix = `${runDirectoryVariable}=`;
  const entry = readText(`/proc/${live.pid}/environ`)
    ?.split('\0')
    .find((variable) => variable.startsWith(prefix));
  return entry === undefined ? live : { ...live, runDirectory: entry.slice(prefix.length) };
};

/** Without a machine id two daemons still share a host when they share a boot. */
const bootScopedId = (): string => `boot-${firstLine('/proc/sys/kernel/random/boot_id')}`;

const firstLine = (path: string): string | undefined =>
  readText(path)?.split('\n')[0]?.trim() || undefined;

/** Undefined when the file is gone or not ours: processes end while we look at them. */
const readText = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
};
