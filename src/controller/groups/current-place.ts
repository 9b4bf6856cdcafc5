import type { CurrentPlacement } from '../../planner/types.ts';
import type { GroupStatus } from '../../resources/types.ts';

/**
 * Where a group runs, or ran until it was stopped just now: its weights are there, so that is where it starts again
 * unless another plan is better by more than a move costs. Undefined where it has no place, or failed for good at
 * the one it had.
 */
export const currentPlace = (group: GroupStatus | undefined): CurrentPlacement | undefined => {
  if (!group || group.members.length === 0 || group.state === 'Failed') return undefined;
  const { engine, members } = group;
  const byRank = members.toSorted((a, b) => a.rank - b.rank);
  return {
    tensorSize: Math.max(...members.map(({ tensorRank }) => tensorRank)) + 1,
    pipelineSize: Math.max(...members.map(({ stage }) => stage)) + 1,
    nodeNames: byRank.map(({ nodeName }) => nodeName),
    ...(engine === undefined ? {} : { engine }),
  };
};
