import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { RankAssignment, RankError } from '../nodedoc/types.ts';
import { dataNotWritable, writeFileDurably } from './durable-file.ts';

/**
 * What a restarted daemon must know of a rank. Written before its process starts (then without `process`),
 * again once it runs, and when it has failed. Holds the secret of the group: only the owner reads it.
 */
export interface RankRecord {
  assignment: RankAssignment;
  bootId: string;
  process?: { pid: number; startTime: string };
  /** A token has come through all ranks since the process started. */
  isProven?: boolean;
  failure?: RankError;
}

/** Empties the run directory, so that no status of an earlier process is taken for one of the next. */
export const makeRunDirectory = async (runDirectory: string): Promise<void> => {
  try {
    await removeRunDirectory(runDirectory);
    await mkdir(runDirectory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw dataNotWritable(runDirectory, error);
  }
};

export const removeRunDirectory = async (runDirectory: string): Promise<void> =>
  rm(runDirectory, { recursive: true, force: true, maxRetries: 3 });

export const writeRankRecord = async (runDirectory: string, record: RankRecord): Promise<void> =>
  writeFileDurably(recordFile(runDirectory), JSON.stringify(record));

/** Undefined when there is none, or none that can be read. We wrote it ourselves, atomically. */
export const readRankRecord = async (runDirectory: string): Promise<RankRecord | undefined> => {
  try {
    return JSON.parse(await readFile(recordFile(runDirectory), 'utf8')) as RankRecord;
  } catch {
    return undefined;
  }
};

const recordFile = (runDirectory: string): string => join(runDirectory, 'record.json');
