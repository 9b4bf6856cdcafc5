import { copyFile, rename, stat, truncate } from 'node:fs/promises';

const maxLogBytes = 10 * 1024 * 1024;
/** The log itself and two older ones: "x.log", "x.log.1", "x.log.2". */
const logFileCount = 3;

/**
 * Keeps a log within its bounds by copying and truncating: the rank holds the file open for appending and
 * is not asked to reopen it, so a rank outlives any daemon. Lines written between copy and truncation are
 * lost. Resolves true when it rotated.
 */
export const rotateLog = async (file: string, maxBytes = maxLogBytes): Promise<boolean> => {
  const { size } = await stat(file).catch(() => ({ size: 0 }));
  if (size <= maxBytes) return false;
  for (let index = logFileCount - 1; index > 1; index -= 1) {
    await rename(`${file}.${index - 1}`, `${file}.${index}`).catch(ignoreMissing);
  }
  await copyFile(file, `${file}.1`);
  await truncate(file);
  return true;
};

const ignoreMissing = (error: NodeJS.ErrnoException): void => {
  if (error.code !== 'ENOENT') throw error;
};
