import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Path of a `file://` URI, the same on both sides of the hub; undefined for any other scheme.
 * `file:///models/x` is absolute; `file://./models/x` is relative to `baseDirectory` (the working
 * directory of the process that reads it), which Git checkouts and the quickstart use.
 */
export const fileUriToPath = (uri: string, baseDirectory: string): string | undefined => {
  const rest = /^file:\/\/(.*)$/i.exec(uri)?.[1];
  if (rest === undefined) return undefined;
  if (rest.startsWith('/') || rest.startsWith('localhost/')) return fileURLToPath(asLocal(uri));
  return resolve(baseDirectory, decode(rest));
};

/** A "#" or "?" in a path is part of a name, not of a URL. */
const asLocal = (uri: string): string => uri.replaceAll('#', '%23').replaceAll('?', '%3F');

/** Names with a bare "%" stand for themselves. */
const decode = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};
