import { randomUUID } from 'node:crypto';
import { link, readFile, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { contentHash } from '../../base/canonical-json.ts';
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

const maxAttempts = 10;

/**
 * Keeps a second control plane on this host from the same state directory. A lock whose process is dead is
 * taken over. Throws StateLocked, which names the pid of the holder, or StateNotWritable. Across hosts, where
 * pids say nothing, the epoch fences the older one.
 */
export const acquireLock = async (path: string): Promise<Lock> => {
  const own: Holder = {
    pid: process.pid,
    identity: processIdentity(process.pid) ?? '',
    token: randomUUID(),
  };
  const draft = temporaryPath(path);
  const text = JSON.stringify(own);
  await writeFileAtomically(draft, text);
  try {
    for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
      if ((await tryLink(draft, path)) || (await tryEvict(draft, path))) {
        return { release: () => release(path, text) };
      }
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
    // ENOENT: the holder, which is alive then, has swept the draft away.
    if (['EEXIST', 'ENOENT'].includes(errorCode(error))) return false;
    throw new EspalierError('StateNotWritable', `cannot lock ${path}`, { path }, { cause: error });
  }
};

/** Puts the draft in the place of a dead holder's lock; false when the lock is another one by now. */
const tryEvict = async (draft: string, path: string): Promise<boolean> => {
  const text = await readIfThere(path);
  if (text === undefined || !(await mayEvict(draft, path, text))) return false;
  if ((await readIfThere(path)) !== text) return false;
  await rename(draft, path);
  return true;
};

/**
 * Of all that find one lock dead, one may evict it: the one that makes the file named after that lock. If
 * that one died too before it was done, the right is won in the same way over its file. No two locks have
 * one text, so a right once given never counts for a later lock.
 */
const mayEvict = async (draft: string, path: string, text: string): Promise<boolean> => {
  refuseIfAlive(path, text);
  const right = join(dirname(path), `.${basename(path)}.${contentHash(text).slice(0, 32)}.tmp`);
  if (await tryLink(draft, right)) return true;
  const rival = await readIfThere(right);
  return rival !== undefined && mayEvict(draft, path, rival);
};

const refuseIfAlive = (path: string, text: string): void => {
  const holder = parseHolder(text);
  if (!holder || processIdentity(holder.pid) !== holder.identity) return;
  throw new EspalierError(
    'StateLocked',
    `the control plane with pid ${holder.pid} uses this state directory (${path}); ` +
      'stop it first, or choose another state directory',
    { path, pid: holder.pid },
  );
};

/** Undefined for a text that no control plane wrote as a whole: nobody holds that. */
const parseHolder = (text: string): Holder | undefined => {
  try {
    const holder = JSON.parse(text) as Partial<Holder> | null;
    return typeof holder?.pid === 'number' ? (holder as Holder) : undefined;
  } catch {
    return undefined;
  }
};

const readIfThere = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
};

const release = async (path: string, text: string): Promise<void> => {
  const current = await readIfThere(path).catch(() => {});
  if (current === text) await unlink(path).catch(() => {});
};
