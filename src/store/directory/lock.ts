import { randomUUID } from 'node:crypto';
import { link, readFile, rename, unlink } from 'node:fs/promises';
import { EspalierError } from '../../base/errors.ts';
import { errorCode, temporaryPath, writeFileAtomically } from './atomic-file.ts';
import { processIdentity } from './process-identity.ts';

export interface Lock {
  /** Gives the state directory back. Never throws. */
  release(): Promise<void>;
}

interface Holder {
  pid: number;
  identity: string;
  token: string;
}

const maxAttempts = 5;

/**
 * Keeps a second control plane on this host from the same state directory. A lock whose process is dead is
 * taken over. Throws StateLocked, which names the pid of the holder, or StateNotWritable. Across hosts, or
 * if two take over a dead lock in the same instant, the epoch still fences the older one.
 */
export const acquireLock = async (path: string): Promise<Lock> => {
  const own: Holder = {
    pid: process.pid,
    identity: processIdentity(process.pid) ?? '',
    token: randomUUID(),
  };
  const draft = temporaryPath(path);
  await writeFileAtomically(draft, JSON.stringify(own));
  try {
    for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
      if (await tryLink(draft, path)) return { release: () => release(path, own) };
      await evictDeadHolder(path);
    }
  } finally {
    await unlink(draft).catch(() => {});
  }
  throw new EspalierError('StateLocked', `${path} changes hands too fast; try again`, { path });
};

/** link(2) fails when the name is taken, and shows the content at once: no half-written lock. */
const tryLink = async (draft: string, path: string): Promise<boolean> => {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    // ENOENT: the holder, which is alive, has swept the draft away.
    if (['EEXIST', 'ENOENT'].includes(errorCode(error))) return false;
    throw new EspalierError('StateNotWritable', `cannot lock ${path}`, { path }, { cause: error });
  }
};

const evictDeadHolder = async (path: string): Promise<void> => {
  const holder = await readHolder(path);
  if (holder === 'none') return;
  if (holder !== 'unreadable' && isAlive(holder)) {
    throw new EspalierError(
      'StateLocked',
      `the control plane with pid ${holder.pid} uses this state directory (${path}); ` +
        'stop it first, or choose another state directory',
      { path, pid: holder.pid },
    );
  }
  // Only one of several that found it dead can move it away; the others see the new lock on their next turn.
  const evicted = temporaryPath(path);
  try {
    await rename(path, evicted);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  const moved = await readHolder(evicted);
  const movedLiveLock = typeof moved === 'object' && isAlive(moved);
  if (movedLiveLock) await link(evicted, path).catch(() => {});
  await unlink(evicted).catch(() => {});
};

const isAlive = (holder: Holder): boolean => processIdentity(holder.pid) === holder.identity;

const readHolder = async (path: string): Promise<Holder | 'none' | 'unreadable'> => {
  try {
    const holder = JSON.parse(await readFile(path, 'utf8')) as Holder;
    return typeof holder.pid === 'number' ? holder : 'unreadable';
  } catch (error) {
    return errorCode(error) === 'ENOENT' ? 'none' : 'unreadable';
  }
};

const release = async (path: string, own: Holder): Promise<void> => {
  const holder = await readHolder(path);
  if (typeof holder === 'object' && holder.token === own.token) await unlink(path).catch(() => {});
};
