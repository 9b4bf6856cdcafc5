import type { GroupStatus } from '../../resources/types.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { rankId } from '../groups/rank-id.ts';
import type { Owner } from '../groups/rank-id.ts';
import { sameKey } from '../keys.ts';
import type { ObjectKey, SpecProblem, Store } from '../ports.ts';
import type { Pass } from './pass.ts';

/** What is wrong with the newest YAML of an object. */
export const problemsOf = (store: Pick<Store, 'problems'>, key: ObjectKey): SpecProblem[] =>
  store.problems().filter((problem) => problem.key && sameKey(problem.key, key));

/** Decode speed that rank 0 of the Ready groups measured, on average; undefined when none did. */
export const decodeSpeed = (
  owner: Owner,
  groups: readonly GroupStatus[],
  fleet: Fleet,
): number | undefined => {
  const speeds = groups
    .filter(({ state }) => state === 'Ready')
    .flatMap((group) => {
      const nodeName = group.members.find(({ rank }) => rank === 0)?.nodeName ?? '';
      const ranks = fleet.get(nodeName)?.report?.ranks ?? [];
      return ranks.find(({ id }) => id === rankId(owner, group, 0))?.decodeTokensPerSecond ?? [];
    });
  if (speeds.length === 0) return undefined;
  return speeds.reduce((sum, speed) => sum + speed, 0) / speeds.length;
};

/** Groups whose degraded plan is to be given up for a better one that has been possible for long enough. */
export const dueReturns = ({ context, deployment, groups, target }: Pass): ReadonlySet<number> => {
  if (!target || deployment.spec.paused) return new Set();
  const due = groups.filter((group) => {
    const { state, degradedBy = [], index } = group;
    if (state !== 'Ready' || degradedBy.length === 0) return false;
    const result = target.place(index, groups, group.revision);
    const isBetter = result.ok && result.plan.degradedBy.length < degradedBy.length;
    const key = `${deployment.metadata.uid}/${index}/${group.incarnation}`;
    return context.returns.isDue(key, isBetter);
  });
  return new Set(due.map(({ index }) => index));
};
