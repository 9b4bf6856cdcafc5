import { isAbsolute, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EspalierError } from '../base/errors.ts';

/**
 * Absolute path of the folder that a model URI names: `file:///models/x`, `file://./x` (from
 * `baseDirectory`), or a plain path. Any other scheme: SourceNotAvailable.
 */
export const resolveModelFolder = (uri: string, baseDirectory: string): string => {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(uri)?.[1]?.toLowerCase();
  if (scheme === undefined) return resolve(baseDirectory, uri);
  if (scheme !== 'file') {
    throw new EspalierError(
      'SourceNotAvailable',
      `${uri}: ${scheme}:// sources are not available yet; download the model to a folder on the nodes and use file://`,
      { uri, scheme },
    );
  }
  const rest = uri.slice('file://'.length);
  if (rest.startsWith('/') || rest.startsWith('localhost/')) return fileURLToPath(asLocal(uri));
  const relative = decode(rest);
  return isAbsolute(relative) ? relative : resolve(baseDirectory, relative);
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
