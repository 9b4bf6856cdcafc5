import { link, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { EspalierError } from '../base/errors.ts';
import { dataNotWritable } from './durable-file.ts';
import type { Host } from './host/host.ts';

interface Holder {
  pid: number;
  startTime: string;
  bootId: string;
}

/**
 * Takes the lock of a data directory for this process; the returned function gives it back. A lock whose
 * process is gone, a reboot included, is taken over. Throws DaemonAlreadyRunning, naming the process.
 */
export const takeLock = async (lockFile: string, host: Host): Promise<() => Promise<void>> => {
  const self = await host.processes.find(process.pid);
  const own: Holder = {
    pid: process.pid,
    startTime: self?.startTime ?? '',
    bootId: await host.bootId(),
  };
  const text = JSON.stringify(own);
  // Three tries: a stale lock may be moved away under us by another daemon that starts now.
  for (let attempt = 0; attempt < 3; attempt += 1) {
    if (await createExclusively(lockFile, text)) {
      return async () => unlink(lockFile).catch(() => {});
    }
    const found = await readFile(lockFile, 'utf8').catch(() => '');
    const holder = parseHolder(found);
    if (holder && (await isRunning(holder, host, own.bootId)))
      throw alreadyRunning(holder, lockFile);
    await removeStale(lockFile, found);
  }
  throw new EspalierError('DaemonAlreadyRunning', `other daemons are taking ${lockFile} just now`);
};

/** A link appears with its whole content or not at all, and never replaces. */
const createExclusively = async (lockFile: string, text: string): Promise<boolean> => {
  const own = `${lockFile}.${process.pid}`;
  try {
    await writeFile(own, text, { mode: 0o600 });
    await link(own, lockFile);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw dataNotWritable(lockFile, error);
  } finally {
    await unlink(own).catch(() => {});
  }
};

/** Moves the lock away first: if it is no longer the one that was judged, it is put back. */
const removeStale = async (lockFile: string, judged: string): Promise<void> => {
  const aside = `${lockFile}.stale.${process.pid}`;
  try {
    await rename(lockFile, aside);
    if ((await readFile(aside, 'utf8')) !== judged) await link(aside, lockFile);
    await unlink(aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw dataNotWritable(lockFile, error);
  }
};

const parseHolder = (text: string): Holder | undefined => {
  try {
    return JSON.parse(text) as Holder;
  } catch {
    return undefined;
  }
};

const isRunning = async (holder: Holder, host: Host, bootId: string): Promise<boolean> => {
  if (holder.bootId !== bootId) return false;
  const live = await host.processes.find(holder.pid);
  return live?.startTime === holder.startTime;
};

const alreadyRunning = (holder: Holder, lockFile: string): EspalierError =>
  new EspalierError(
    'DaemonAlreadyRunning',
    `a node daemon with pid ${holder.pid} already uses this data directory (${lockFile}): ` +
      'stop it, or give this one a data directory of its own',
    { pid: holder.pid, file: lockFile },
  );
