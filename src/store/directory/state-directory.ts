import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { EspalierError, errorMessage } from '../../base/errors.ts';
import type { StoredEvent } from '../../controller/ports.ts';
import type { Schemas } from '../../resources/schemas.ts';
import type { ModelDeploymentRevision } from '../../resources/types.ts';
import {
  errorCode,
  makeFolder,
  removeFileDurably,
  setAside,
  sweepFolder,
  writeFileAtomically,
} from './atomic-file.ts';
import { takeEpoch } from './epoch.ts';
import { groupSecret } from './group-secret.ts';
import { acquireLock } from './lock.ts';
import { isEventsFile, isIdentity, isObjectRecord, isRevision } from './state-format.ts';
import { stateLayout } from './state-layout.ts';
import type { DirectoryIdentity, ObjectRecord, StateLayout } from './state-layout.ts';

/** An open state directory: locked, its epoch taken, everything in it read. */
export interface StateDirectory {
  layout: StateLayout;
  epoch: number;
  groupSecret: Buffer;
  objects: ObjectRecord[];
  revisions: ModelDeploymentRevision[];
  events: StoredEvent[];
  identity: DirectoryIdentity | undefined;
  /** Files that could not be read, by the name that they were set aside under. */
  corrupt: string[];
  /** Durable when it resolves. Throws EpochFenced or StateNotWritable; the old content then stays. */
  write(path: string, value: unknown): Promise<void>;
  remove(path: string): Promise<void>;
  /** Gives the lock back. Never throws. */
  close(): Promise<void>;
}

/** Throws StateLocked or StateNotWritable. Applies today's defaults to what older releases wrote. */
export const openStateDirectory = async (
  root: string,
  { schemas, now }: { schemas: Schemas; now: Date },
): Promise<StateDirectory> => {
  const layout = stateLayout(root);
  await makeFolder(root);
  const lock = await acquireLock(layout.lock);
  try {
    for (const folder of [root, layout.deployments, layout.nodes, layout.revisions]) {
      await makeFolder(folder);
      await sweepFolder(folder);
    }
    const epoch = await takeEpoch(layout.epoch, now);
    const secret = await groupSecret(layout.groupSecret);
    const corrupt = [epoch.setAside, secret.setAside].filter((path) => path !== undefined);
    const read = { corrupt };
    return {
      layout,
      epoch: epoch.number,
      groupSecret: secret.key,
      objects: [
        ...(await readFolder(layout.deployments, isObjectRecord, read)),
        ...(await readFolder(layout.nodes, isObjectRecord, read)),
      ].map((record) => defaultedRecord(record, schemas)),
      revisions: (await readFolder(layout.revisions, isRevision, read)).map((revision) => ({
        ...revision,
        data: schemas.defaultField(
          'ModelDeploymentRevision',
          'data',
          revision.data,
        ) as ModelDeploymentRevision['data'],
      })),
      events: (await readJson(layout.events, isEventsFile, read))?.events ?? [],
      identity: await readJson(layout.identity, isIdentity, read),
      corrupt,
      write: async (path, value) => {
        epoch.assertHeld();
        await writeFileAtomically(path, `${JSON.stringify(value, null, 2)}\n`);
      },
      remove: async (path) => {
        epoch.assertHeld();
        await removeFileDurably(path);
      },
      close: () => lock.release(),
    };
  } catch (error) {
    await lock.release();
    if (error instanceof EspalierError) throw error;
    const message = `cannot read the state directory ${root}: ${errorMessage(error)}`;
    throw new EspalierError('StateNotWritable', message, { path: root }, { cause: error });
  }
};

const defaultedRecord = ({ object, file }: ObjectRecord, schemas: Schemas): ObjectRecord => {
  const spec = schemas.defaultField(object.kind, 'spec', object.spec);
  const status = schemas.defaultField(object.kind, 'status', object.status);
  return { file, object: { ...object, spec, status } as ObjectRecord['object'] };
};

type Check<T> = (value: unknown) => value is T;

const readFolder = async <T>(
  folder: string,
  check: Check<T>,
  read: { corrupt: string[] },
): Promise<T[]> => {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).toSorted();
  const values: T[] = [];
  for (const name of names) {
    const value = await readJson(join(folder, name), check, read);
    if (value !== undefined) values.push(value);
  }
  return values;
};

/** Undefined when it is not there, or not what it should be: then it is set aside and listed. */
const readJson = async <T>(
  path: string,
  check: Check<T>,
  { corrupt }: { corrupt: string[] },
): Promise<T | undefined> => {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  const value = parseIfJson(text);
  if (check(value)) return value;
  corrupt.push(await setAside(path));
  return undefined;
};

export const parseIfJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
