import { contentHash } from '../../base/canonical-json.ts';
import {
  hashVersion,
  revisionedFields,
  revisionHash,
  revisionName,
  sameRevision,
} from '../../resources/revision.ts';
import type {
  ModelDeployment,
  ModelDeploymentRevision,
  ModelDeploymentStatus,
} from '../../resources/types.ts';

/** The recorded revision that equals the spec, newest first if there are several. */
export const matchingRevision = (
  { spec }: Pick<ModelDeployment, 'spec'>,
  revisions: readonly ModelDeploymentRevision[],
): ModelDeploymentRevision | undefined =>
  revisions.toSorted(newestFirst).find(({ data }) => sameRevision(data, spec));

/** One above all that are recorded. */
export const nextRevisionNumber = (revisions: readonly ModelDeploymentRevision[]): number =>
  Math.max(0, ...revisions.map(({ revision }) => revision)) + 1;

/** A snapshot of the deployment's spec. Carries an owner reference and none of the user's labels. */
export const newRevision = (
  deployment: ModelDeployment,
  revisions: readonly ModelDeploymentRevision[],
  now: Date,
): ModelDeploymentRevision => {
  const { metadata, spec, apiVersion } = deployment;
  const hash = revisionHash(spec);
  const name = freeName(metadata.name, hash, revisions);
  return {
    apiVersion,
    kind: 'ModelDeploymentRevision',
    metadata: {
      name,
      namespace: metadata.namespace ?? 'default',
      uid: `${metadata.uid}-${hash.slice(0, 12)}`,
      generation: 1,
      creationTimestamp: `${now.toISOString().slice(0, 19)}Z`,
      ownerReferences: [
        { apiVersion, kind: 'ModelDeployment', name: metadata.name, uid: metadata.uid },
      ],
    },
    revision: nextRevisionNumber(revisions),
    hash,
    hashVersion,
    data: revisionedFields(spec),
  };
};

/** Another spec may have the same short hash; then the name is made of a hash of the hash, and so on. */
const freeName = (
  deployment: string,
  hash: string,
  revisions: readonly ModelDeploymentRevision[],
): string => {
  const name = revisionName(deployment, hash);
  const isTaken = revisions.some(({ metadata }) => metadata.name === name);
  return isTaken ? freeName(deployment, contentHash(hash), revisions) : name;
};

/** Names of the oldest revisions beyond the limit; never one that a group runs or that serves or is rolled out. */
export const surplusRevisions = (
  revisions: readonly ModelDeploymentRevision[],
  status: ModelDeploymentStatus,
  limit: number,
): string[] => {
  const inUse = new Set([
    status.currentRevision,
    status.updateRevision,
    ...status.groups.map(({ revision }) => revision),
  ]);
  return revisions
    .filter(({ metadata }) => !inUse.has(metadata.name))
    .toSorted(newestFirst)
    .slice(limit)
    .map(({ metadata }) => metadata.name);
};

const newestFirst = (left: ModelDeploymentRevision, right: ModelDeploymentRevision): number =>
  right.revision - left.revision;
