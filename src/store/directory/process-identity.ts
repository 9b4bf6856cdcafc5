import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

/**
 * Tells one process from a later one with the same pid, also across reboots. Undefined when no such process
 * runs. From /proc on Linux, from ps elsewhere.
 */
export const processIdentity = (pid: number): string | undefined =>
  existsSync('/proc/self/stat') ? linuxIdentity(pid) : psIdentity(pid);

const linuxIdentity = (pid: number): string | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command in brackets may hold spaces and brackets; state is field 3, starttime field 22 (proc(5)).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${bootId}/${fields[22 - 3]}`;
  } catch {
    return undefined;
  }
};

const psIdentity = (pid: number): string | undefined => {
  try {
    const started = execFileSync('ps', ['-p', String(pid), '-o', 'lstart='], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 5000,
    }).trim();
    return started === '' ? undefined : started;
  } catch {
    return undefined;
  }
};
