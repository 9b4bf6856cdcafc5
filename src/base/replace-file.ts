import { open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Replaces a file as a whole: a reader, or a process that starts after this one was killed, sees the old content or
 * the new one, never a part. Durable when it resolves. Throws what the file system says; the old content then stays.
 * `temporary` is beside it; what a killed process left there is written over.
 */
export const replaceFile = async (
  path: string,
  content: string | Buffer,
  { mode, temporary }: { mode: number; temporary: string },
): Promise<void> => {
  try {
    const file = await open(temporary, 'w', mode);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
  await syncFolder(dirname(path));
};

/** Without this, a rename may be lost with the power although the file's content was saved. */
export const syncFolder = async (path: string): Promise<void> => {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
};
