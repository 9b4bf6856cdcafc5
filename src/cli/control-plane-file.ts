import { readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandFailure, exitCodes } from './exit.ts';

/** Where a running control plane can be reached; `espalier up` writes it, other commands read it. */
export interface ControlPlaneAddress {
  pid: number;
  hubUrl: string;
  routerUrl: string;
  /** The watched directory, absolute. Absent: written by a release before this one. */
  directory?: string;
}

const fileName = 'control-plane.json';

export const writeControlPlaneAddress = async (
  stateDirectory: string,
  address: ControlPlaneAddress,
): Promise<void> => {
  const path = join(stateDirectory, fileName);
  await writeFile(`${path}.tmp`, JSON.stringify(address));
  await rename(`${path}.tmp`, path);
};

export const readControlPlaneAddress = (stateDirectory: string): ControlPlaneAddress => {
  const path = join(stateDirectory, fileName);
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ControlPlaneAddress;
  } catch (error) {
    throw new CommandFailure(
      exitCodes.notFound,
      `no control plane has run with the state directory ${stateDirectory} (${path} cannot be read); ` +
        'start one with "espalier up", or name its directory with --state-dir',
      { cause: error },
    );
  }
};
