import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { EspalierError, errorMessage } from '../../base/errors.ts';
import { replaceFile, syncFolder } from '../../base/replace-file.ts';

/** As a whole and durably, or not at all. Throws StateNotWritable; the old content then stays. */
export const writeFileAtomically = async (
  path: string,
  content: string | Buffer,
  mode = 0o644,
): Promise<void> => {
  await orNotWritable(path, async () =>
    replaceFile(path, content, { mode, temporary: temporaryPath(path) }),
  );
};

/** Durable when it resolves. A file that is gone already is no error. Throws StateNotWritable. */
export const removeFileDurably = async (path: string): Promise<void> =>
  orNotWritable(path, async () => {
    try {
      await unlink(path);
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
    }
    await syncFolder(dirname(path));
  });

/** Out of the way, but kept for a person to look at: "<file>.corrupt". Throws StateNotWritable. */
export const setAside = async (path: string): Promise<string> => {
  const aside = `${path}.corrupt`;
  await orNotWritable(path, async () => {
    await rename(path, aside);
    await syncFolder(dirname(path));
  });
  return aside;
};

/** Throws StateNotWritable. */
export const makeFolder = async (path: string): Promise<void> =>
  orNotWritable(path, async () => {
    await mkdir(path, { recursive: true });
  });

/** Removes what a killed process left half written. Throws StateNotWritable. */
export const sweepFolder = async (path: string): Promise<void> =>
  orNotWritable(path, async () => {
    const names = await readdir(path);
    const leftovers = names.filter((name) => name.startsWith('.') && name.endsWith('.tmp'));
    for (const name of leftovers) await unlink(join(path, name));
  });

/** A name beside the file that a later sweep removes. */
export const temporaryPath = (path: string): string =>
  join(dirname(path), `.${basename(path)}.${randomUUID()}.tmp`);

export const errorCode = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : '';

const orNotWritable = async (path: string, write: () => Promise<void>): Promise<void> => {
  try {
    await write();
  } catch (cause) {
    const code = errorCode(cause);
    throw new EspalierError(
      'StateNotWritable',
      `cannot write ${path}: ${errorMessage(cause)}; ${remedies[code] ?? 'check the disk and the permissions'}`,
      { path, cause: code },
      { cause },
    );
  }
};

const remedies: Readonly<Record<string, string>> = {
  EACCES: 'give the control plane permission to write there',
  EDQUOT: 'free some space or raise the quota',
  ENOSPC: 'free some space on that disk',
  ENOTDIR: 'a part of the path is a file; move it away or choose another state directory',
  EPERM: 'give the control plane permission to write there',
  EROFS: 'the disk is mounted read-only; mount it writable',
};
