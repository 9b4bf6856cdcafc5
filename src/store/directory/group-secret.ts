import { randomBytes } from 'node:crypto';
import { chmod, readFile } from 'node:fs/promises';
import { errorCode, setAside, writeFileAtomically } from './atomic-file.ts';

const keyBytes = 32;

/** The key in the file, made on the first call; mode 0600. A file of another length is set aside. */
export const groupSecret = async (path: string): Promise<{ key: Buffer; setAside?: string }> => {
  const kept = await readIfThere(path);
  if (kept?.length === keyBytes) {
    await chmod(path, 0o600).catch(() => {});
    return { key: kept };
  }
  const aside = kept === undefined ? {} : { setAside: await setAside(path) };
  const key = randomBytes(keyBytes);
  await writeFileAtomically(path, key, 0o600);
  return { key, ...aside };
};

const readIfThere = async (path: string): Promise<Buffer | undefined> => {
  try {
    return await readFile(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
};
