import type { RankReport } from '../../nodedoc/types.ts';
import type { GroupStatus } from '../../resources/types.ts';
import type { Fleet, NodeView } from '../fleet/fleet.ts';
import { groupPrefix, parseRankId } from './rank-id.ts';
import type { Owner } from './rank-id.ts';

/** Failed and Stopped ranks have no process. */
export const isLive = ({ state }: RankReport): boolean => state !== 'Failed' && state !== 'Stopped';

/**
 * Nodes that keep a stopping group from being gone: they still report live ranks of it, or have not answered
 * the document that no longer lists them. A lost node does not block; its document stops the ranks when it returns.
 */
export const holders = (owner: Owner, group: GroupStatus, fleet: Fleet): string[] => {
  const members = new Set(group.members.map(({ nodeName }) => nodeName));
  return [...fleet.values()]
    .filter(
      (view) =>
        view.presence !== 'Lost' &&
        (runsRanksOf(owner, group.index, view) || (members.has(view.name) && !view.hasAnswered)),
    )
    .map(({ name }) => name);
};

/** Nodes that report live ranks of any start of this group. */
export const nodesWithLiveRanks = (owner: Owner, index: number, fleet: Fleet): string[] =>
  [...fleet.values()]
    .filter((view) => view.presence === 'Present' && runsRanksOf(owner, index, view))
    .map(({ name }) => name);

/** Higher than every start that this group had and than every one that a node, even a lost one, ever reported. */
export const nextIncarnation = (owner: Owner, group: GroupStatus, fleet: Fleet): number => {
  const prefix = groupPrefix(owner, group.index);
  const seen = [...fleet.values()]
    .flatMap(({ report }) => report?.ranks ?? [])
    .filter(({ id }) => id.startsWith(prefix))
    .map(({ id }) => parseRankId(id)?.incarnation ?? 0);
  return Math.max(group.incarnation, ...seen) + 1;
};

const runsRanksOf = (owner: Owner, index: number, { report }: NodeView): boolean => {
  const prefix = groupPrefix(owner, index);
  return report?.ranks.some((rank) => rank.id.startsWith(prefix) && isLive(rank)) ?? false;
};
