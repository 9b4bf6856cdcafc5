import { findCondition } from '../../resources/conditions.ts';
import type { ClusterNode, GroupMember, GroupStatus } from '../../resources/types.ts';

/** Something that keeps a deployment from being Ready: a rank, a node or a whole group. */
export interface Obstacle {
  /** "rank 1 of group 0 on mini-2", "node mini-2", "group 0". */
  what: string;
  /** Its state, or the reason of it, in one CamelCase word. */
  state: string;
  since?: string;
  message?: string;
  /** Where to look further. */
  rank?: { group: number; rank: number };
  nodeName?: string;
}

/** The nearest causes first: nodes that are not there, then the ranks that are furthest behind, then groups. */
export const obstaclesOf = (
  groups: readonly GroupStatus[],
  nodes: readonly ClusterNode[],
): Obstacle[] => {
  const unfinished = groups.filter(({ state }) => state !== 'Ready');
  const used = new Set(
    unfinished.flatMap(({ members }) => members.map((member) => member.nodeName)),
  );
  return [
    ...nodes.filter(({ metadata }) => used.has(metadata.name)).flatMap(nodeObstacle),
    ...[...used].filter((name) => nodes.every(({ metadata }) => metadata.name !== name)).map(gone),
    ...unfinished.flatMap((group) => [...rankObstacles(group), ...groupObstacle(group)]),
  ];
};

const nodeObstacle = ({ metadata, status }: ClusterNode): Obstacle[] => {
  const ready = findCondition(status.conditions, 'Ready');
  if (ready?.status === 'True') return [];
  const state = ready?.reason ?? 'Pending';
  const { name } = metadata;
  return [
    {
      what: `node ${name}`,
      nodeName: name,
      state,
      ...(ready ? { since: ready.lastTransitionTime, message: ready.message } : {}),
    },
  ];
};

const gone = (name: string): Obstacle => ({
  what: `node ${name}`,
  nodeName: name,
  state: 'NodeDeleted',
  message: 'there is no ClusterNode of that name any more',
});

/** In the order in which a rank goes through them. */
const phases = ['Pending', 'Staging', 'Rendezvous', 'Loading', 'Canary', 'Ready'];

/** Ranks wait for one another, so only those that are furthest behind are in the way. */
const rankObstacles = (group: GroupStatus): Obstacle[] => {
  if (group.state !== 'Starting') return [];
  const behind = Math.min(...group.members.map(phaseOf));
  if (behind >= phases.length - 1) return [];
  return group.members
    .filter((member) => phaseOf(member) === behind)
    .map(({ rank, nodeName, state }) => ({
      what: `rank ${rank} of group ${group.index} on ${nodeName}`,
      nodeName,
      rank: { group: group.index, rank },
      state,
      ...(group.progressTime === undefined ? {} : { since: group.progressTime }),
    }));
};

/** A state of a failure is behind all of them. */
const phaseOf = ({ state }: GroupMember): number => phases.indexOf(state);

const groupObstacle = (group: GroupStatus): Obstacle[] => {
  if (group.state === 'Starting') return [];
  const { index, state, reason, progressTime, notBefore } = group;
  const message = [group.message, notBefore && `next start at ${notBefore}`].filter(Boolean);
  return [
    {
      what: `group ${index}`,
      state: reason === undefined ? state : `${state}, ${reason}`,
      ...(progressTime === undefined ? {} : { since: progressTime }),
      ...(message.length === 0 ? {} : { message: message.join('; ') }),
      ...culprit(group),
    },
  ];
};

/** The controller's messages name the rank that failed first: "rank 1 on mini-2 …". */
const culprit = ({ index, message = '' }: GroupStatus): Pick<Obstacle, 'rank' | 'nodeName'> => {
  const named = /(?:caused by )?rank (\d+) on (\S+?)[,:;)\s]/.exec(`${message} `);
  if (!named) return {};
  return { rank: { group: index, rank: Number(named[1]) }, nodeName: named[2]! };
};
