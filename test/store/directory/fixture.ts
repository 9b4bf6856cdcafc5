import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import type { Clock } from '../../../src/base/clock.ts';
import { createLogger } from '../../../src/base/logger.ts';
import { seededRandom } from '../../../src/base/random.ts';
import type { ObjectKey, Store } from '../../../src/controller/ports.ts';
import { createDirectoryStore } from '../../../src/store/directory/store.ts';

export const fastTiming = { debounceMs: 20, maxWaitMs: 200, rescanMs: 500, deletionGraceMs: 150 };

export const deploymentText = (name: string, spec = ''): string =>
  `apiVersion: espalier.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: ${name}}\nspec:\n  model: {uri: "file:///models/sprout"}\n${spec}`;

export const nodeText = (name: string, spec = ''): string =>
  `apiVersion: espalier.dev/v1alpha1\nkind: ClusterNode\nmetadata: {name: ${name}}\n${spec}`;

export interface Folders {
  root: string;
  directory: string;
  stateDirectory: string;
  /** As careful editors and git do: a new file under a temporary name, renamed over the old one. */
  save(file: string, text: string): void;
}

/** Memory where there is: these tests kill processes, not power, and fsync on a busy disk is slow. */
const temporaryRoot = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

export const makeFolders = (t: TestContext): Folders => {
  const root = mkdtempSync(join(temporaryRoot, 'espalier-store-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const directory = join(root, 'yaml');
  mkdirSync(directory);
  return {
    root,
    directory,
    stateDirectory: join(root, 'state'),
    save: (file, text) => {
      const path = join(directory, file);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(`${path}.new`, text);
      renameSync(`${path}.new`, path);
    },
  };
};

export const openStore = (
  { directory, stateDirectory }: Pick<Folders, 'directory' | 'stateDirectory'>,
  timing: Partial<typeof fastTiming> = {},
  clock: Clock = systemClock,
): Promise<Store> =>
  createDirectoryStore({
    directory,
    stateDirectory,
    clock,
    random: seededRandom(1),
    logger: createLogger({ name: 'test', level: 'silent' }),
    timing: { ...fastTiming, ...timing },
  });

/** Started, and stopped when the test ends. */
export const startStore = async (
  t: TestContext,
  folders: Folders,
  timing: Partial<typeof fastTiming> = {},
): Promise<{ store: Store; told: ObjectKey[] }> => {
  const store = await openStore(folders, timing);
  t.after(() => store.stop());
  const told: ObjectKey[] = [];
  await store.start((key) => told.push(key));
  return { store, told };
};

export const names = (objects: readonly { metadata: { name: string } }[]): string[] =>
  objects.map(({ metadata }) => metadata.name).toSorted();

export const reasonsOf = (store: Store): string[] => store.events().map(({ reason }) => reason);
