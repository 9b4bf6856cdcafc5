import { isObject } from '../../resources/structural-schema.ts';
import type { ModelDeploymentRevision } from '../../resources/types.ts';
import type { DirectoryIdentity, EventsFile, ObjectRecord, ProblemsFile } from './state-layout.ts';

/**
 * Whether a state file is whole and one of ours. Fields within spec and status are not looked at: writes are
 * atomic, so a file is either whole or was damaged by something else than Espalier.
 */
export const isObjectRecord = (value: unknown): value is ObjectRecord => {
  if (!isObject(value) || typeof value['file'] !== 'string') return false;
  const { object } = value;
  if (!isObject(object) || !isObject(object['spec']) || !isObject(object['status'])) return false;
  const isKnownKind = object['kind'] === 'ModelDeployment' || object['kind'] === 'ClusterNode';
  return isKnownKind && isMetadata(object['metadata']);
};

export const isRevision = (value: unknown): value is ModelDeploymentRevision =>
  isObject(value) &&
  value['kind'] === 'ModelDeploymentRevision' &&
  typeof value['revision'] === 'number' &&
  isObject(value['data']) &&
  isMetadata(value['metadata']);

export const isEventsFile = (value: unknown): value is EventsFile =>
  isObject(value) &&
  Array.isArray(value['events']) &&
  value['events'].every((event) => isObject(event) && isObject(event['regarding']));

export const isProblemsFile = (value: unknown): value is ProblemsFile =>
  isObject(value) && Array.isArray(value['problems']) && value['problems'].every(isObject);

export const isIdentity = (value: unknown): value is DirectoryIdentity =>
  isObject(value) && typeof value['device'] === 'number' && typeof value['inode'] === 'number';

const isMetadata = (value: unknown): boolean =>
  isObject(value) &&
  typeof value['name'] === 'string' &&
  typeof value['uid'] === 'string' &&
  Number.isInteger(value['generation']);
