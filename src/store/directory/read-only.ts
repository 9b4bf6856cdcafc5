import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EspalierError } from '../../base/errors.ts';
import type { ObjectKey, SpecProblem, StoredEvent } from '../../controller/ports.ts';
import type {
  ClusterNode,
  ModelDeployment,
  ModelDeploymentRevision,
} from '../../resources/types.ts';
import { parseIfJson } from './state-directory.ts';
import { isEventsFile, isObjectRecord, isProblemsFile, isRevision } from './state-format.ts';
import { keyOf, keyText, stateLayout } from './state-layout.ts';

/** A state directory as it was when it was opened. */
export interface StateView {
  deployments(): ModelDeployment[];
  nodes(): ClusterNode[];
  revisions(): ModelDeploymentRevision[];
  events(): StoredEvent[];
  problems(): SpecProblem[];
  /** File that an object's spec was last read from, relative to the watched directory. */
  sourceFile(key: ObjectKey): string | undefined;
}

/**
 * Reads a state directory without lock and without writing anything, whether its control plane runs or not:
 * every file is replaced as a whole, so each is consistent in itself. Throws StateNotFound.
 */
export const openReadOnly = (stateDirectory: string): StateView => {
  const layout = stateLayout(stateDirectory);
  if (!existsSync(layout.epoch)) {
    throw new EspalierError(
      'StateNotFound',
      `${stateDirectory} is no state directory of a control plane; name the one that it was started with`,
      { path: stateDirectory },
    );
  }
  const records = [
    ...readFolder(layout.deployments, isObjectRecord),
    ...readFolder(layout.nodes, isObjectRecord),
  ];
  const objects = records.map(({ object }) => object);
  const deployments = objects.filter((object) => object.kind === 'ModelDeployment');
  const nodes = objects.filter((object) => object.kind === 'ClusterNode');
  const revisions = readFolder(layout.revisions, isRevision);
  const events = readJson(layout.events, isEventsFile)?.events ?? [];
  const problems = readJson(layout.problems, isProblemsFile)?.problems ?? [];
  return {
    deployments: () => deployments,
    nodes: () => nodes,
    revisions: () => revisions,
    events: () => events,
    problems: () => problems,
    sourceFile: (key) =>
      records.find(({ object }) => keyText(keyOf(object)) === keyText(key))?.file,
  };
};

type Check<T> = (value: unknown) => value is T;

const readFolder = <T>(folder: string, check: Check<T>): T[] => {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .toSorted()
    .map((name) => readJson(join(folder, name), check))
    .filter((value) => value !== undefined);
};

/** Undefined for a file that went in between or is damaged: the control plane tells of those. */
const readJson = <T>(path: string, check: Check<T>): T | undefined => {
  try {
    const value = parseIfJson(readFileSync(path, 'utf8'));
    return check(value) ? value : undefined;
  } catch {
    return undefined;
  }
};
