import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { errorMessage } from '../base/errors.ts';
import { maxFileBytes, mergeDocuments, readDocuments, unreadableFile } from './documents.ts';
import type { Documents } from './documents.ts';
import { loadSchemas } from './schemas.ts';
import type { Schemas } from './schemas.ts';

/** A file, or a folder that could not be listed, and what was read of it. */
export interface ReadFile {
  path: string;
  documents: Documents;
}

/** Bounds against folders that were not meant: a home directory, a link to the root. */
const maxDepth = 32;
const maxFiles = 10_000;

/** Reads files and folders of YAML as the control plane does. Never throws for what is in them. */
export const validateFiles = (
  paths: readonly string[],
  schemas: Schemas = loadSchemas(),
): Documents =>
  mergeDocuments(paths.flatMap((path) => readFiles(path, schemas)).map((file) => file.documents));

/**
 * Reads a file, or all .yaml and .yml files below a folder in the order of their paths. Left out: dotfiles
 * (.git, editors' swap files, the ..data machinery of a mounted ConfigMap, whose files are links beside it)
 * and node_modules. Links are followed. `read` may be given to reuse what was read before.
 */
export const readFiles = (
  path: string,
  schemas: Schemas,
  read: (text: string, path: string) => Documents = (text, file) =>
    readDocuments(text, file, schemas),
): ReadFile[] => {
  const found: Found[] = [];
  find(path, { root: path, found, ancestors: [] });
  return found.map((entry) => ({
    path: entry.path,
    documents:
      'failure' in entry
        ? unreadableFile(entry.path, 'a readable file or folder', entry.failure)
        : readOne(entry.path, read),
  }));
};

type Found = { path: string } | { path: string; failure: string };

/** `ancestors`: real paths of the folders above, so that a link to one of them is not followed for ever. */
const find = (
  path: string,
  walk: { root: string; found: Found[]; ancestors: readonly string[] },
): void => {
  const { root, found, ancestors } = walk;
  if (found.length >= maxFiles) return;
  if (found.length === maxFiles - 1) {
    // Of the root, not of this file: nobody knows what is in the files that are not read.
    found.push({ path: root, failure: `more than ${maxFiles} files in all; the rest is not read` });
    return;
  }
  try {
    const status = statSync(path);
    if (!status.isDirectory()) {
      found.push(status.isFile() ? { path } : { path, failure: 'neither a file nor a folder' });
      return;
    }
    const real = realpathSync(path);
    if (ancestors.includes(real)) return;
    if (ancestors.length >= maxDepth) {
      found.push({ path, failure: `more than ${maxDepth} folders in one another` });
      return;
    }
    for (const entry of readdirSync(path, { withFileTypes: true }).toSorted(byName)) {
      if (entry.name.startsWith('.') || entry.name === 'node_modules') continue;
      const child = join(path, entry.name);
      if (isYamlName(entry.name) || entry.isDirectory() || isLinkToFolder(entry, child)) {
        find(child, { root, found, ancestors: [...ancestors, real] });
      }
    }
  } catch (error) {
    found.push({ path, failure: errorMessage(error) });
  }
};

const isYamlName = (name: string): boolean => ['.yaml', '.yml'].includes(extname(name));

/** A link that leads nowhere or in a circle is no folder; it matters only when its name says YAML. */
const isLinkToFolder = (entry: { isSymbolicLink(): boolean }, path: string): boolean => {
  if (!entry.isSymbolicLink()) return false;
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
};

const byName = (left: { name: string }, right: { name: string }): number =>
  left.name < right.name ? -1 : 1;

const readOne = (path: string, read: (text: string, path: string) => Documents): Documents => {
  try {
    const { size } = statSync(path);
    if (size > maxFileBytes) {
      return unreadableFile(path, `at most ${maxFileBytes} bytes`, `${size} bytes: split the file`);
    }
    return read(new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path)), path);
  } catch (error) {
    const reason = error instanceof TypeError ? 'bytes that are not UTF-8' : errorMessage(error);
    return unreadableFile(path, 'a readable file of UTF-8 text', reason);
  }
};
