import { open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { EspalierError, errorMessage } from '../base/errors.ts';

/**
 * Replaces a file so that after a crash or a power cut either the old text or the new one is there. Only
 * its owner can read it. One writer per path. Throws DataNotWritable and leaves the old text.
 */
export const writeFileDurably = async (path: string, text: string): Promise<void> => {
  const temporary = `${path}.tmp`;
  try {
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw dataNotWritable(path, error);
  }
};

export const dataNotWritable = (path: string, cause: unknown): EspalierError =>
  new EspalierError(
    'DataNotWritable',
    `cannot write ${path}: ${errorMessage(cause)}; running ranks are left alone, nothing new starts ` +
      'until the folder is writable and has room',
    { file: path },
    { cause },
  );

/** The rename itself is only durable once its directory is. */
const syncDirectory = async (path: string): Promise<void> => {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
};
