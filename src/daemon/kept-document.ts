import { readFile } from 'node:fs/promises';
import type { Logger } from '../base/logger.ts';
import { errorMessage } from '../base/errors.ts';
import type { NodeDocument } from '../nodedoc/types.ts';
import { parseNodeDocument } from '../nodedoc/validate.ts';
import { writeFileDurably } from './durable-file.ts';

/** What a daemon remembers of its control plane. */
export interface KeptDocument {
  /** Highest epoch seen: lower ones are refused. */
  epoch: number;
  /** Undefined before the first document, or when the file is damaged: then nothing is started or stopped. */
  document: NodeDocument | undefined;
}

/** Reads what was kept; a file that is missing or damaged counts as nothing kept. */
export const readKeptDocument = async (file: string, logger: Logger): Promise<KeptDocument> => {
  try {
    const kept = JSON.parse(await readFile(file, 'utf8')) as { epoch: unknown; document?: unknown };
    if (!Number.isSafeInteger(kept.epoch)) throw new Error('epoch is not an integer');
    const document = kept.document === undefined ? undefined : parseNodeDocument(kept.document);
    return { epoch: kept.epoch as number, document };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      logger.error(
        { file, reason: errorMessage(error) },
        'kept document is damaged; waiting for the hub',
      );
    }
    return { epoch: 0, document: undefined };
  }
};

/** Durable when it resolves: acting on a document comes after this. Throws DataNotWritable. */
export const writeKeptDocument = async (file: string, kept: KeptDocument): Promise<void> =>
  writeFileDurably(file, JSON.stringify(kept));
