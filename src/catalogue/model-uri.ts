import { resolve } from 'node:path';
import { EspalierError } from '../base/errors.ts';
import { fileUriToPath } from '../base/file-uri.ts';

/**
 * Absolute path of the folder that a model URI names: a `file://` URI or a plain path, relative ones from
 * `baseDirectory`. Any other scheme: SourceNotAvailable.
 */
export const resolveModelFolder = (uri: string, baseDirectory: string): string => {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(uri)?.[1]?.toLowerCase();
  if (scheme === undefined) return resolve(baseDirectory, uri);
  const path = fileUriToPath(uri, baseDirectory);
  if (path !== undefined) return path;
  throw new EspalierError(
    'SourceNotAvailable',
    `${uri}: ${scheme}:// sources are not available yet; download the model to a folder on the nodes and use file://`,
    { uri, scheme },
  );
};
