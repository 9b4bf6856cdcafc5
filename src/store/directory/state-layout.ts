import { join } from 'node:path';
import type { ObjectKey, SpecProblem, StoredEvent } from '../../controller/ports.ts';
import type { ClusterNode, ModelDeployment } from '../../resources/types.ts';

export type StoredObject = ModelDeployment | ClusterNode;

/** One object's file in the state directory. */
export interface ObjectRecord {
  object: StoredObject;
  /** File that its spec was last read from, relative to the watched directory. */
  file: string;
}

/** The watched directory as it was last seen: tells an emptied directory from one that was swapped or unmounted. */
export interface DirectoryIdentity {
  device: number;
  inode: number;
}

export interface EventsFile {
  events: StoredEvent[];
}

export interface ProblemsFile {
  problems: SpecProblem[];
}

/**
 * What lies where in a state directory. One JSON file per object and per revision; "_" cannot occur in the
 * names of either, so no two names meet in one file.
 */
export const stateLayout = (root: string) => ({
  root,
  lock: join(root, 'lock'),
  epoch: join(root, 'epoch.json'),
  groupSecret: join(root, 'group-secret'),
  identity: join(root, 'directory.json'),
  events: join(root, 'events.json'),
  problems: join(root, 'problems.json'),
  deployments: join(root, 'deployments'),
  nodes: join(root, 'nodes'),
  revisions: join(root, 'revisions'),
  object: ({ kind, namespace = '', name }: ObjectKey) =>
    kind === 'ClusterNode'
      ? join(root, 'nodes', `${name}.json`)
      : join(root, 'deployments', `${namespace}_${name}.json`),
  revision: (namespace: string, name: string) =>
    join(root, 'revisions', `${namespace}_${name}.json`),
});

export type StateLayout = ReturnType<typeof stateLayout>;

export const keyText = ({ kind, namespace, name }: ObjectKey): string =>
  `${kind}/${namespace ?? ''}/${name}`;

export const keyOf = ({ kind, metadata }: StoredObject): ObjectKey =>
  kind === 'ClusterNode'
    ? { kind, name: metadata.name }
    : { kind, namespace: metadata.namespace ?? 'default', name: metadata.name };

/** For the order of lists: by kind, namespace and name. */
export const byKey = (left: string, right: string): number =>
  left < right ? -1 : left > right ? 1 : 0;
