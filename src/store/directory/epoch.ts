import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { EspalierError } from '../../base/errors.ts';
import { errorCode, setAside, writeFileAtomically } from './atomic-file.ts';

export interface Epoch {
  readonly number: number;
  /** A state file that could not be read, which was moved to this path. */
  readonly setAside?: string;
  /** Throws EpochFenced when another control plane has started on this state since. */
  assertHeld(): void;
}

interface Held {
  epoch: number;
  /** Tells two control planes apart that took the same number in the same instant. */
  token: string;
}

/**
 * Takes the next epoch: above the last one, and not below the Unix time in seconds. The latter keeps epochs
 * from going back when the state directory is lost or restored from a backup, so that node daemons, which
 * refuse lower epochs than they have seen, take up work again.
 */
export const takeEpoch = async (path: string, now: Date): Promise<Epoch> => {
  const last = await readLast(path);
  const held: Held = {
    epoch: Math.max(last.epoch + 1, Math.floor(now.getTime() / 1000)),
    token: randomUUID(),
  };
  await writeFileAtomically(path, JSON.stringify(held));
  return {
    number: held.epoch,
    ...(last.aside === undefined ? {} : { setAside: last.aside }),
    assertHeld: () => assertHeld(path, held),
  };
};

const readLast = async (path: string): Promise<{ epoch: number; aside?: string }> => {
  try {
    const { epoch } = JSON.parse(await readFile(path, 'utf8')) as Held;
    if (Number.isSafeInteger(epoch)) return { epoch };
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return { epoch: 0 };
  }
  return { epoch: 0, aside: await setAside(path) };
};

const assertHeld = (path: string, held: Held): void => {
  const current = currentText(path);
  if (current === undefined || current === JSON.stringify(held)) return;
  throw new EspalierError(
    'EpochFenced',
    `epoch ${held.epoch} of this control plane is over: another one has started on ${path}`,
    { path, epoch: held.epoch },
  );
};

/** Undefined when it cannot be read: then the write that follows fails with the true cause. */
const currentText = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
};
