import { EspalierError, errorMessage } from '../base/errors.ts';
import { replaceFile } from '../base/replace-file.ts';

/**
 * As a whole and durably, or not at all. Only its owner can read it. One writer per path. Throws DataNotWritable and
 * leaves the old text.
 */
export const writeFileDurably = async (path: string, text: string): Promise<void> => {
  try {
    await replaceFile(path, text, { mode: 0o600, temporary: `${path}.tmp` });
  } catch (error) {
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
