import { sameRevision } from '../../resources/revision.ts';
import type {
  ClusterNode,
  ModelDeployment,
  ModelDeploymentRevision,
} from '../../resources/types.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import type { Backend } from '../backend/backend.ts';
import { changeText, fieldChanges } from './merge-patch.ts';

/** The revisions of a deployment, oldest number first. */
export const revisionsOf = async (
  backend: Backend,
  { metadata }: ModelDeployment,
): Promise<ModelDeploymentRevision[]> =>
  (await backend.revisions(metadata.namespace))
    .filter(({ metadata: { ownerReferences = [] } }) =>
      ownerReferences.some(({ name, uid }) => name === metadata.name && uid === metadata.uid),
    )
    .toSorted((left, right) => left.revision - right.revision);

/** One revision as `espalier history` shows it. */
export interface HistoryEntry {
  revision: number;
  name: string;
  created: string;
  /** The spec is this one. */
  isWanted: boolean;
  /** Groups that run it, by index. */
  groups: number[];
  /** Nodes that have its weights. */
  cachedOn: string[];
  /** Against the revision before it in this list; of the first one none. */
  changes: string[];
}

export const historyOf = (
  deployment: ModelDeployment,
  revisions: readonly ModelDeploymentRevision[],
  nodes: readonly ClusterNode[],
): HistoryEntry[] =>
  revisions.map(({ revision, metadata, data }, index) => {
    const before = revisions[index - 1];
    return {
      revision,
      name: metadata.name,
      created: metadata.creationTimestamp,
      isWanted: sameRevision(data, deployment.spec),
      groups: deployment.status.groups
        .filter((group) => group.revision === metadata.name && group.members.length > 0)
        .map((group) => group.index),
      cachedOn: nodes
        .filter(({ status }) =>
          status.cachedModels.some(({ uri, state }) => uri === data.model.uri && state === 'Ready'),
        )
        .map((node) => node.metadata.name),
      changes: before ? fieldChanges(before.data, data).map(changeText) : [],
    };
  });

/**
 * The revision to go back to: the one with this number, or the newest that the spec is not. Throws CommandFailure
 * (not found) that says which there are.
 */
export const targetRevision = (
  { metadata, spec }: ModelDeployment,
  revisions: readonly ModelDeploymentRevision[],
  number: number | undefined,
): ModelDeploymentRevision => {
  const target =
    number === undefined
      ? revisions.findLast(({ data }) => !sameRevision(data, spec))
      : revisions.find(({ revision }) => revision === number);
  if (target) return target;
  const known = revisions.map(({ revision }) => revision).join(', ') || 'none';
  throw new CommandFailure(
    exitCodes.notFound,
    number === undefined
      ? `${metadata.name} has no other revision to go back to; recorded: ${known}`
      : `${metadata.name} has no revision ${number}; recorded: ${known} (older ones go by spec.revisionHistoryLimit)`,
  );
};
