import { randomUUID } from 'node:crypto';
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { RankAssignment } from '../nodedoc/types.ts';
import { dataNotWritable, writeFileDurably } from './durable-file.ts';

/** Where a daemon keeps what must outlive it. One daemon per directory. */
export interface DataDirectory {
  path: string;
  documentFile: string;
  lockFile: string;
  ranksDirectory: string;
  /** Of one rank: its record, and its engine's files. */
  runDirectory: (rankId: string) => string;
  logFile: (assignment: RankAssignment) => string;
}

export const dataDirectory = (path: string): DataDirectory => {
  const root = resolve(path);
  const ranksDirectory = join(root, 'ranks');
  return {
    path: root,
    documentFile: join(root, 'document.json'),
    lockFile: join(root, 'daemon.lock'),
    ranksDirectory,
    // No part of an id can hold an underscore, so two ids never share a folder.
    runDirectory: (rankId) => join(ranksDirectory, rankId.replaceAll('/', '_')),
    logFile: ({ namespace, deployment, groupIndex, rank }) =>
      join(root, 'logs', `${namespace}.${deployment}.${groupIndex}.${rank}.log`),
  };
};

/** Makes the folders. Throws DataNotWritable. */
export const prepareDataDirectory = async (directory: DataDirectory): Promise<void> => {
  try {
    for (const name of ['ranks', 'logs']) {
      await mkdir(join(directory.path, name), { recursive: true, mode: 0o700 });
    }
  } catch (error) {
    throw dataNotWritable(directory.path, error);
  }
};

/** Identity of this data directory: made at the first start, kept for ever. Throws DataNotWritable. */
export const readInstanceID = async (directory: DataDirectory): Promise<string> => {
  const file = join(directory.path, 'instance-id');
  const kept = await readFile(file, 'utf8').catch(() => '');
  if (kept.trim()) return kept.trim();
  const fresh = randomUUID();
  await writeFileDurably(file, `${fresh}\n`);
  return fresh;
};

/** Run directories that are there, whoever left them. */
export const runDirectories = async (directory: DataDirectory): Promise<string[]> =>
  (await readdir(directory.ranksDirectory)).map((name) => join(directory.ranksDirectory, name));
