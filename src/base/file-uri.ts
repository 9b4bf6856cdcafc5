import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Folder of a `file://` URI, the same on both sides of the hub; undefined for any other scheme.
 * `file:///models/x` is absolute; `file://./models/x` is relative to `baseDirectory` (the working
 * directory of the process that reads it), which Git checkouts and the quickstart use.
 */
export const fileUriToPath = (uri: string, baseDirectory: string): string | undefined => {
  if (!uri.startsWith('file://')) return undefined;
  const rest = uri.slice('file://'.length);
  if (rest.startsWith('./') || rest.startsWith('../')) {
    return resolve(baseDirectory, decodeURIComponent(rest));
  }
  try {
    return fileURLToPath(uri);
  } catch {
    return undefined;
  }
};
