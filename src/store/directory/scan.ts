import { statSync } from 'node:fs';
import { relative } from 'node:path';
import { errorMessage } from '../../base/errors.ts';
import type { SpecProblem } from '../../controller/ports.ts';
import { documentKey, mergeDocuments, readDocuments } from '../../resources/documents.ts';
import type { DesiredObject, Documents, Note } from '../../resources/documents.ts';
import { readFiles } from '../../resources/read-files.ts';
import type { Schemas } from '../../resources/schemas.ts';
import { keyText } from './state-layout.ts';
import type { DirectoryIdentity, ObjectRecord } from './state-layout.ts';

/** What the watched directory says at one moment. */
export interface Scan {
  identity: DirectoryIdentity;
  fileCount: number;
  /** Whether every file reads as it did at the last scan: nobody is in the middle of something. */
  isSettled: boolean;
  /** By key. `file` is relative to the directory. */
  desired: ReadonlyMap<string, DesiredObject>;
  problems: SpecProblem[];
  /** Files and folders, relative, in which there may be more objects than could be read. */
  incomplete: string[];
  notes: Note[];
}

export type ScanResult = { ok: true; scan: Scan } | { ok: false; message: string };

/** Reads the directory as a whole, every time; texts that did not change are not parsed again. */
export const createScanner = (directory: string, schemas: Schemas) => {
  let parsed = new Map<string, { text: string; documents: Documents }>();

  return (held: ReadonlyMap<string, ObjectRecord>): ScanResult => {
    const identity = directoryIdentity(directory);
    if (typeof identity === 'string') return { ok: false, message: identity };
    const previous = parsed;
    parsed = new Map();
    const files = readFiles(directory, schemas, (text, path) => {
      const known = previous.get(path);
      const documents = known?.text === text ? known.documents : readDocuments(text, path, schemas);
      parsed.set(path, { text, documents });
      return documents;
    });
    const merged = mergeDocuments(
      files.map(({ documents }) => documents),
      (key) => {
        const file = held.get(keyText(key))?.file;
        return files.find(({ path }) => relative(directory, path) === file)?.path;
      },
    );
    const desired = new Map<string, DesiredObject>();
    for (const object of merged.objects) {
      const file = relative(directory, object.file);
      desired.set(keyText(documentKey(object)), { ...object, file });
    }
    return {
      ok: true,
      scan: {
        identity,
        fileCount: files.length,
        isSettled: sameTexts(previous, parsed),
        desired,
        problems: merged.problems.map(({ key, file, line, message }) => ({
          ...(key === undefined ? {} : { key }),
          file,
          line,
          message,
        })),
        incomplete: files
          .filter(({ documents }) => documents.isIncomplete)
          .map(({ path }) => relative(directory, path)),
        notes: merged.notes,
      },
    };
  };
};

const sameTexts = (
  previous: ReadonlyMap<string, { text: string }>,
  parsed: ReadonlyMap<string, { text: string }>,
): boolean =>
  previous.size === parsed.size &&
  [...parsed].every(([path, { text }]) => previous.get(path)?.text === text);

/** The reason when there is no such directory. */
const directoryIdentity = (directory: string): DirectoryIdentity | string => {
  try {
    const status = statSync(directory);
    if (!status.isDirectory()) return `${directory} is not a directory`;
    return { device: status.dev, inode: status.ino };
  } catch (error) {
    return errorMessage(error);
  }
};

/** Why an object that no document names stays all the same, or undefined when it is to be deleted. */
export const reasonToKeep = (key: string, record: ObjectRecord, scan: Scan): string | undefined => {
  const problem = scan.problems.find((other) => other.key && keyText(other.key) === key);
  if (problem) return `its newest document is not valid (${problem.file}:${problem.line})`;
  const path = scan.incomplete.find(
    (other) => other === '' || record.file === other || record.file.startsWith(`${other}/`),
  );
  return path === undefined ? undefined : `${record.file} could not be read as a whole`;
};
