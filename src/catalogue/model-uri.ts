import { basename, dirname, resolve } from 'node:path';
import { EspalierError } from '../base/errors.ts';
import { fileUriToPath } from '../base/file-uri.ts';

/** Where a model lies. */
export interface ModelPlace {
  /** Absolute path of the folder with config.json. */
  folder: string;
  /** The GGUF file in it that the URI names. */
  ggufFile?: string;
}

/**
 * The folder that a model URI names: a `file://` URI or a plain path, relative ones from `baseDirectory`. A URI
 * that ends in `.gguf` names a file in that folder. Any other scheme: SourceNotAvailable.
 */
export const resolveModel = (uri: string, baseDirectory: string): ModelPlace => {
  const path = resolvePath(uri, baseDirectory);
  return /\.gguf$/i.test(path)
    ? { folder: dirname(path), ggufFile: basename(path) }
    : { folder: path };
};

const resolvePath = (uri: string, baseDirectory: string): string => {
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
