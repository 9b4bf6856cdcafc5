import { basename, join } from 'node:path';
import { EspalierError } from '../base/errors.ts';
import { ggufTypeOf, ggufTypes } from './gguf-width.ts';
import { statFile } from './model-files.ts';
import type { ModelPlace } from './model-uri.ts';

export interface GgufFiles {
  /** "Q4_K_M", as names tell it. */
  type: string;
  /** 0: there is no file, only a name that tells the type. */
  totalBytes: number;
  /** For the digest. */
  fingerprint: string[];
}

/**
 * The GGUF files of a folder, or what names tell of them: the file that the URI names, else the only one in the
 * folder (in one part or several), else the folder's own name. Undefined where nothing speaks of GGUF. Throws
 * ModelConfigInvalid when files of several types are there, or no type is in the name.
 */
export const findGguf = async (
  { folder, ggufFile }: ModelPlace,
  names: readonly string[],
): Promise<GgufFiles | undefined> => {
  // Projectors of pictures come beside the model in files of their own.
  const present = names.filter((name) => /\.gguf$/i.test(name) && !/mmproj/i.test(name));
  const chosen = ggufFile === undefined ? present : present.filter(isPartOf(ggufFile));
  if (chosen.length === 0 && ggufFile === undefined) {
    const type = ggufTypeOf(basename(folder));
    return type === undefined ? undefined : { type, totalBytes: 0, fingerprint: [] };
  }
  const type = typeOf(folder, ggufFile === undefined ? chosen : [ggufFile]);
  const sizes = await Promise.all(chosen.map(async (name) => statFile(join(folder, name))));
  return {
    type,
    totalBytes: sizes.reduce((sum, { size }) => sum + size, 0),
    fingerprint: chosen.map((name, index) => `${name} ${sizes[index]?.size}`),
  };
};

/** "x-00001-of-00003.gguf" stands for all of its parts. */
const isPartOf =
  (file: string): ((name: string) => boolean) =>
  (name) =>
    stemOf(name) === stemOf(file);

const stemOf = (name: string): string => name.replace(/-\d+-of-\d+(\.gguf)$/i, '$1');

const typeOf = (folder: string, names: readonly string[]): string => {
  const types = [...new Set(names.map(ggufTypeOf))];
  const [type] = types;
  if (types.length > 1) {
    throw invalid(
      folder,
      `expected GGUF files of one type, got ${names.slice(0, 4).join(', ')}; end model.uri with the file that is meant`,
    );
  }
  if (type !== undefined) return type;
  throw invalid(
    folder,
    `${names[0]}: expected a GGUF type in the name: ${ggufTypes.slice(0, 18).join(', ')} or the like`,
  );
};

const invalid = (folder: string, what: string) =>
  new EspalierError('ModelConfigInvalid', `${folder}: ${what}`, { file: folder });
