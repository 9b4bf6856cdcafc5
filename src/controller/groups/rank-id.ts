import type { GroupStatus, ModelDeployment } from '../../resources/types.ts';

/** The deployment that a group belongs to, as far as rank ids name it. */
export interface Owner {
  namespace: string;
  deployment: string;
}

export const ownerOf = ({ metadata }: Pick<ModelDeployment, 'metadata'>): Owner => ({
  namespace: metadata.namespace ?? 'default',
  deployment: metadata.name,
});

/** Start of the ids of all ranks that this group ever had. */
export const groupPrefix = ({ namespace, deployment }: Owner, index: number): string =>
  `${namespace}/${deployment}/${index}/`;

export const rankId = (
  owner: Owner,
  { index, incarnation }: Pick<GroupStatus, 'index' | 'incarnation'>,
  rank: number,
): string => `${groupPrefix(owner, index)}${incarnation}/${rank}`;

/** The fields of a rank id; undefined when the text is not one. */
export const parseRankId = (
  id: string,
): (Owner & { index: number; incarnation: number; rank: number }) | undefined => {
  const [namespace, deployment, index, incarnation, rank, ...rest] = id.split('/');
  if (!namespace || !deployment || rank === undefined || rest.length > 0) return undefined;
  return {
    namespace,
    deployment,
    index: Number(index),
    incarnation: Number(incarnation),
    rank: Number(rank),
  };
};
